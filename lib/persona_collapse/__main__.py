"""The commands behind the Makefile: python -m persona_collapse <command> [--study NAME] [--data FOLDER]."""

import argparse
import errno
import os
import re
import sys
import time
import traceback
from pathlib import Path

from persona_collapse import isolation

if __name__ == "__main__":
    isolation.restart()  # before anything is imported that a folder in the user's PYTHONPATH may hold otherwise

from persona_collapse.paths import PUBLISHED, shown
from persona_collapse.study.load_study import check_keys, load_study
from persona_collapse.study.study import Study
from persona_collapse.text import tamed

#: Words for on and off behind a flag.
_ON, _OFF = {"1", "yes", "true"}, {"", "0", "no", "false"}


def report(args: argparse.Namespace) -> None:
    """Ratings, tables, notebooks and the appendix of a study; what is up to date is not made again."""
    from persona_collapse.report.make import make_report

    study = _study(args)
    began = time.monotonic()
    _say_estimate(study)
    made = make_report(study, say=_say)
    _say(f"{shown(study.outputs / 'report.html')} ({made}, {time.monotonic() - began:.0f} s)")


def tables(args: argparse.Namespace) -> None:
    """Ratings and tables of a study without notebooks; what is up to date is not made again."""
    from persona_collapse.report.make_tables import make_tables

    study = _study(args)
    began = time.monotonic()
    _say_estimate(study)
    made = make_tables(study, [name for name in re.split(r"[\s,]+", args.only or "") if name], say=_say)
    _say(f"{shown(study.outputs / 'tables')}/ ({made}, {time.monotonic() - began:.1f} s)")


def published(args: argparse.Namespace) -> None:
    """Fetch the ratings that an imported study names, then make its report."""
    from persona_collapse.asking.fetch_files import fetch

    study = load_study(args.study or "published", files=False)
    _say(f"fetching {study.file.source.git if study.file.source else study.name} ...")
    args.study, args.data = args.study or "published", str(fetch(study))
    report(args)


def local(args: argparse.Namespace) -> None:
    """Open weights from their folder to the report: trains what is to be trained, asks, and needs no server."""
    from persona_collapse.asking.train_adapters import prepare

    args.study = args.study or "smollm2"
    prepare(load_study(args.study), _say)
    report(args)


def finetune(args: argparse.Namespace) -> None:
    """Train the adapters of a study of open weights that are not trained yet."""
    from persona_collapse.asking.train_adapters import train_adapters

    if not args.study:
        raise ValueError("finetune: no study is named; say which, as in make finetune STUDY=smollm2")
    done = train_adapters(load_study(args.study), _say)
    _say(f"{done} {'adapters' if done != 1 else 'adapter'} trained" if done else "all adapters are trained: nothing to do")


def elicit(args: argparse.Namespace) -> None:
    """Ask or read whatever a study's store lacks."""
    from persona_collapse.asking.collect import collect, import_report, unanswered

    study = _study(args)
    _say_estimate(study)
    new = collect(study, anyway=args.anyway, say=_say)
    if new and study.file.kind == "imported":
        for line in import_report(study):
            _say(line)
    unit = ("run read", "runs read") if study.file.kind == "imported" else ("rating asked for", "ratings asked for")
    if study.file.kind == "live" and (left := unanswered(study)):
        raise RuntimeError(
            f"{shown(study.store_path)}: {left:,} slots got no answer that counts, see quality.csv or 01_elicit for the reasons; "
            "run the same command again, which asks only for them"
        )
    _say(
        f"{shown(study.store_path)}: {new:,} {unit[new != 1]}{_spent(study)}"
        if new
        else f"{shown(study.store_path)}: nothing was missing"
    )


def _spent(study: Study) -> str:
    """What a live study with known prices has cost so far, to be said behind what was asked."""
    from persona_collapse.asking import spending
    from persona_collapse.store.store import open_store

    if study.file.kind != "live" or not any(spending.price(study, run) for run in study.runs):
        return ""
    with open_store(study.store_path) as store:
        spent = spending.spent_usd(study, store)
    budget = f" of budget_usd {study.file.budget_usd:g}" if study.file.budget_usd else ""
    return f", ${spent:.2f} spent{budget}"


def estimate(args: argparse.Namespace) -> None:
    """Requests, tokens, price and hours of what a live study still lacks; sends nothing."""
    from persona_collapse.asking.estimate import estimate_lines
    from persona_collapse.asking.kept_answers import kept_lines

    study = load_study(args.study or "openai-example")
    for line in [*estimate_lines(study), *kept_lines(study)]:
        _say(line)


def plan(args: argparse.Namespace) -> None:
    """Personas and repetitions that reach a standard error at the fewest requests, with the price; sends nothing."""
    from persona_collapse.tables.plan import plan_lines

    study = load_study(args.study or "openai-example", files=False)
    for line in plan_lines(study, _percent(args.target) / 100):
        _say(line)


def _percent(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0.01 <= found < 100:
        raise ValueError(f"target: {text!r}; expected a standard error in percent from 0.01 to below 100, such as TARGET=5")
    return found


def study_from(args: argparse.Namespace) -> None:
    """A study file for a person to edit, from a file or folder of ratings that are there already."""
    from persona_collapse.asking.study_from import study_from

    study_from(args.data or "", args.name or "", say=_say)


def batch(args: argparse.Namespace) -> None:
    """Complete a live study by OpenAI batches at half the price, or by files for vllm run-batch."""
    from persona_collapse.asking.collect import collect_by_batch

    study = _study(args)
    if not (args.by_hand or args.cancel):
        _say_estimate(study)
    new = collect_by_batch(study, by_hand=args.by_hand, cancel=args.cancel, say=_say)
    _say(f"{shown(study.store_path)}: {new:,} slots answered")


def export(args: argparse.Namespace) -> None:
    """Tables, figures and data of a study for a paper and an archive: outputs/<study>/export/ and one zip."""
    from persona_collapse.export.package import Wishes, make_export
    from persona_collapse.report.make import make_report

    study = _study(args)
    began = time.monotonic()
    _say_estimate(study)
    make_report(study, say=_say)
    wishes = Wishes(replies=args.replies, ratings=args.ratings, licence=args.licence or "", titles=args.titles)
    made = make_export(study, wishes, say=_say)
    _say(f"{shown(made)} ({time.monotonic() - began:.0f} s)")


def pdf(args: argparse.Namespace) -> None:
    """The appendix of a study as outputs/<study>/report.pdf, printed by headless Chromium."""
    from persona_collapse.report.make import make_report
    from persona_collapse.report.pdf import chromium, print_pdf

    study = _study(args)
    chromium()  # said before anything is asked or computed
    _say_estimate(study)
    make_report(study, say=_say)
    _say(shown(print_pdf(study.outputs / "report.html")))


def compare(args: argparse.Namespace) -> None:
    """Two studies side by side, with the differences between them; asks nothing, their ratings must be there."""
    from persona_collapse.comparison.make import make_comparison

    began = time.monotonic()
    page, made = make_comparison(args.studies, args.data, say=_say)
    _say(f"{page} ({made}, {time.monotonic() - began:.0f} s)")


def registry(args: argparse.Namespace) -> None:
    """Every run of every study on one page: what was planned, has ratings, and stands in a report; asks nothing."""
    from persona_collapse.registry.make import make_registry

    began = time.monotonic()
    page = make_registry(args.studies, say=_say)
    _say(f"{shown(page)} and registry.csv ({time.monotonic() - began:.1f} s)")


def reproduce(args: argparse.Namespace) -> None:
    """Execute a study's executed notebooks again from stored ratings; an output that differs is a failure."""
    from persona_collapse.report.reproduce import reproduce

    study = load_study(args.study or "demo", files=False)
    _say(f"{reproduce(study)} notebooks of {study.name} reproduce")


def fit(args: argparse.Namespace) -> None:
    """Fit the simulated respondents to the published figures and store their parameters."""
    from persona_collapse.simulated import fitting
    from persona_collapse.study.instrument import load_instrument
    from persona_collapse.study.personas import load_personas
    from persona_collapse.tables import printed_figures

    target = PUBLISHED / "simulation-mfq30.json"
    figures = printed_figures.figures("params/published/arxiv-2605.12850.json")
    found = fitting.fit(load_instrument("mfq30"), load_personas("everyday"), load_personas("toxic"), figures, progress=_say)
    fitting.write(found, target)
    _say(f"{shown(target)} written; run `make test` to see that it still fits")


def lab(args: argparse.Namespace) -> None:
    """Open JupyterLab on a working copy of the notebooks, which git ignores."""
    from persona_collapse.report.run_notebooks import working_copy

    copy = working_copy()
    _say(f"{shown(copy)}/ is yours to change; delete a notebook there to get a fresh copy")
    # JupyterLab refuses root, as which containers run.
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", f"--notebook-dir={copy}", *root])


def serve(args: argparse.Namespace) -> None:
    """The simulated endpoint on loopback, until Ctrl-C."""
    from persona_collapse.simulated import faults, server

    server.serve(faults.from_flags(args), args.port, _say)


def notebooks(args: argparse.Namespace) -> None:
    """Execute the committed notebooks in place with their default parameters, with pictures, ready to commit."""
    from persona_collapse.report.run_notebooks import execute_all

    for name in execute_all(only=args.only):
        _say(name)


def clean(args: argparse.Namespace) -> None:
    """Remove what can be rebuilt; ratings that were bought stay."""
    from persona_collapse.asking.clean import clean

    for line in clean():
        _say(line)


def _say_estimate(study: Study) -> None:
    """What a live study is about to cost, before the first request."""
    if study.file.kind == "live":
        from persona_collapse.asking.estimate import estimate_line
        from persona_collapse.asking.kept_answers import kept_lines

        if line := estimate_line(study):
            check_keys(study)
            for kept in kept_lines(study):
                _say(kept)
            _say(line)


def _study(args: argparse.Namespace) -> Study:
    return load_study(args.study or "demo", args.data)


def _say(text: str) -> None:
    print(tamed(text), flush=True)


def parser() -> argparse.ArgumentParser:
    """Every command with its flags."""
    found = argparse.ArgumentParser(prog="persona_collapse", description=__doc__)
    commands = found.add_subparsers(dest="command", required=True)
    for command in (
        report,
        tables,
        published,
        local,
        finetune,
        elicit,
        batch,
        estimate,
        plan,
        export,
        pdf,
        reproduce,
        fit,
        lab,
        notebooks,
        clean,
    ):
        sub = commands.add_parser(command.__name__, help=(command.__doc__ or "").splitlines()[0])
        sub.set_defaults(run=command)
        sub.add_argument("--study", default=None, help="a name in params/studies/ or a path to a YAML file")
        sub.add_argument("--data", default=None, help="the folder that an imported study's files are relative to")
        if command is plan:
            sub.add_argument("--target", default="5", help="standard error of a change, in percent")
        if command is notebooks:
            sub.add_argument("--only", default=None, help="one notebook, by name")
        if command is tables:
            sub.add_argument("--only", default=None, help="some tables, as in metrics,contrasts")
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        if command is elicit:
            _add_switch(sub, "--anyway", "go on with a run of which no answer is a rating")
        if command is batch:
            _add_switch(sub, "--by-hand", "write files and take in results; send nothing")
            _add_switch(sub, "--cancel", "end what is under way, and keep what was answered")
        if command is export:
            _add_switch(sub, "--replies", "put the texts of replies in")
            _add_switch(sub, "--ratings", "put the ratings of an imported study in, which are others'")
            _add_switch(sub, "--titles", "titles in figures, which a paper has in captions", default=True)
            sub.add_argument("--licence", default=None, help="the licence you give it, such as CC-BY-4.0")
    _add_serve(commands)
    _add_compare(commands)
    _add_registry(commands)
    _add_study_from(commands)
    return found


def main(argv: list[str] | None = None) -> int:
    """Run one command; a wrong input is one line on stderr and exit status 1."""
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # a second to import, for nothing: see __init__
    args = parser().parse_args(argv)
    args.study, args.data = args.study or None, args.data or None
    try:
        args.run(args)
    except KeyboardInterrupt as interrupt:
        told = str(interrupt) or "what was done is kept, and the same command goes on from there"
        print(f"\nstopped: {told}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        if args.debug:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again on its way out
        print("error: nobody reads the output any more; what was done is kept, and the same command goes on", file=sys.stderr)
        return 1
    except (ValueError, OSError, RuntimeError) as error:
        if args.debug:
            raise
        print(f"error: {tamed(_one_line(error))}", file=sys.stderr)
        return 1
    return 0


def _add_switch(sub: argparse.ArgumentParser, flag: str, about: str, *, default: bool = False) -> None:
    """A flag that is on by itself or with 1, yes or true, and off with 0, no, false or nothing, as make passes it on."""

    def meant(text: str) -> bool:
        word = text.strip().lower()
        if word not in _ON | _OFF:
            raise argparse.ArgumentTypeError(f"{text!r}; expected 1, yes or true for on, or 0, no or false for off")
        return word in _ON

    sub.add_argument(flag, nargs="?", const=True, default=default, type=meant, metavar="1|0", help=about)


def _add_compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command `compare`, which is about two studies."""
    sub = commands.add_parser("compare", help=(compare.__doc__ or "").splitlines()[0])
    sub.set_defaults(run=compare, study=None)
    sub.add_argument("--studies", nargs="*", default=[], help="two names in params/studies/, or paths to YAML files")
    sub.add_argument("--data", default=None, help="the folder that an imported study's files are relative to")
    sub.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _add_registry(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command `registry`, which is about all studies."""
    sub = commands.add_parser("registry", help=(registry.__doc__ or "").splitlines()[0])
    sub.set_defaults(run=registry, study=None, data=None)
    sub.add_argument("--studies", nargs="*", default=[], help="studies without outputs: names in params/studies/, or paths")
    sub.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _add_study_from(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command `study-from`, which makes a study file and needs none."""
    sub = commands.add_parser("study-from", help=(study_from.__doc__ or "").splitlines()[0])
    sub.set_defaults(run=study_from, study=None)
    sub.add_argument("--data", default=None, help="a file or folder of ratings")
    sub.add_argument("--name", default=None, help="the study's name, or a path to a YAML file that is to be written")
    sub.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command `serve`, which is about no study and has flags of its own."""
    from persona_collapse.simulated import faults

    sub = commands.add_parser("serve", help=(serve.__doc__ or "").splitlines()[0])
    sub.set_defaults(run=serve, study=None, data=None)
    sub.add_argument("--port", type=int, default=8000, help="port on 127.0.0.1, 0 for a free one")
    sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
    faults.add_flags(sub)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        what = (error.strerror or str(error)).lower()
        remedy = {
            errno.ENOSPC: "free some space and run the same command again, nothing is lost",
            errno.EACCES: "check its rights",
            errno.EROFS: "check its rights",
        }.get(error.errno)
        if isinstance(error.filename, (str, bytes)):
            return f"{shown(Path(os.fsdecode(error.filename)))}: {what}; {remedy or 'check the path'}"
        # No file is blamed that was not named.
        place = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{what}, said {Path(place.filename).stem}.{place.name} without naming a file"
        return f"{said}; {remedy or 'the option --debug shows what led to it'}"
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
