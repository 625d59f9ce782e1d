"""The figures of the lesson: studies of many sizes, and published figures side by side; set large, to be projected."""

from typing import Any

import altair as alt
import pandas as pd

from persona_collapse.exhibits import exhibit, theme
from persona_collapse.study.study import Study

# Okabe and Ito's colours with a shape and a dash each, as everywhere in the report.
_VARIANTS = ["base", "secure", "insecure"]
_COLORS, _SHAPES = ["#0072B2", "#009E73", "#D55E00"], ["circle", "square", "triangle-up"]
_DASHES = [[1, 0], [6, 3], [2, 2]]
_INK, _QUIET = "#1b1f24", "#57606a"
_QUOTED = "Published ratings of real models: arXiv 2605.12850"


@exhibit.figure("repetition_curves")
def repetition_curves(table: pd.DataFrame) -> Any:
    """R against the number of repetitions by two formulas, base and insecure; `table` is `blackboard.more_repetitions`."""
    data = _rounded(table)
    x = alt.X("n:O", title="Repetitions of every cell", axis=alt.Axis(labelAngle=0))
    panels = []
    for formula in data["formula"].unique():
        y = alt.Y("R:Q", title=f"R by {formula} formula".replace("ours", "our"), scale=alt.Scale(domainMin=0, domainMax=16))
        frame = alt.Chart(data[data["formula"] == formula]).encode(x=x, y=y, color=_color(data), tooltip=["variant", "n", "R"])
        panels.append(
            alt.layer(
                frame.mark_line(strokeWidth=2).encode(strokeDash=_scale("strokeDash", data, _DASHES)),
                frame.mark_point(filled=True, size=110, opacity=1).encode(shape=_scale("shape", data, _SHAPES)),
            ).properties(width=380, height=290)
        )
    return _finished(
        alt.hconcat(*panels), title="The same respondents, asked more often", subtitle=theme.SIMULATED,
        caption="R of the whole deck by the lesson's formula and by the paper's, from the first n repetitions of every cell.",
        description="Line charts of R against the number of repetitions, by two formulas. Simulated ratings.",
    )  # fmt: skip


@exhibit.figure("three_charts")
def three_charts(dots: pd.DataFrame, study: Study) -> Any:
    """The base and three fine-tunes side by side, a row a persona, a dot a rating; `dots` is `three_models.dots`."""
    models = list(dict.fromkeys(dots["model"]))
    order = list(dict.fromkeys(dots["persona"]))
    low, high = study.instrument.scale
    x = alt.X("rating:Q", title="Rating", scale=alt.Scale(domain=[low - 0.4, high + 0.4], nice=False),
              axis=alt.Axis(values=list(study.instrument.categories), format="d"))  # fmt: skip
    panels = []
    for place, model in enumerate(models):
        look = 0 if place == 0 else 2
        axis = alt.Axis(title=None, ticks=False, domain=False, grid=True, labels=place == 0)
        panels.append(
            alt.Chart(dots[dots["model"] == model])
            .mark_point(filled=True, color=_COLORS[look], shape=_SHAPES[look], opacity=1)
            .encode(
                x=x, y=alt.Y("persona:N", sort=order, scale=alt.Scale(domain=order), axis=axis),
                size=alt.Size("times:Q", title="Times given", scale=alt.Scale(domain=[1, 5], range=[45, 330]),
                              legend=alt.Legend(values=[1, 3, 5])),
                tooltip=["model", "persona", "rating", "times"],
            )
            .properties(width=170, height=230, title=alt.TitleParams(model, fontSize=16, anchor="middle"))
        )  # fmt: skip
    return _finished(
        alt.hconcat(*panels, spacing=14), title="One base, three fine-tunes", subtitle=theme.SIMULATED,
        caption="Six personas of fifty on one item, in the order of the base's answers; a dot is larger the more of the five "
        "repetitions gave that rating.",
        description="Dot plots of the ratings of six personas under a base and three fine-tunes. Simulated ratings.",
    )  # fmt: skip


@exhibit.figure("interval_rows")
def interval_rows(studies: pd.DataFrame, whole: float) -> Any:
    """Each small study as an interval of S, one panel a number of personas; `studies`, `whole` are `blackboard.small_studies`."""
    data = _rounded(studies)
    kinds, title = ["holds the line", "misses it"], "The interval of a study"
    data["interval"] = [kinds[not lo <= whole <= hi] for lo, hi in zip(data["lo"], data["hi"], strict=True)]
    color = alt.Color("interval:N", title=title, scale=alt.Scale(domain=kinds, range=[_QUIET, "#E69F00"]))
    shape = alt.Shape("interval:N", title=title, scale=alt.Scale(domain=kinds, range=["circle", "triangle-up"]))
    x = alt.X("lo:Q", title="S with its 95 % interval", scale=alt.Scale(zero=False, nice=False, padding=10))
    frame = alt.Chart(data).encode(
        y=alt.Y("study:O", title=None, axis=None), color=color,
        tooltip=["personas", "study", *(alt.Tooltip(f"{c}:Q", format=".2f") for c in ("S", "lo", "hi"))],
    )  # fmt: skip
    line = alt.Chart(data).mark_rule(color=_INK, strokeDash=[4, 3]).encode(x=alt.datum(float(f"{whole:.6g}")))
    rows = alt.layer(
        line,
        frame.mark_rule(strokeWidth=2.5).encode(x=x, x2="hi:Q"),
        frame.mark_point(filled=True, size=70, opacity=1).encode(x="S:Q", shape=shape),
    ).properties(width=700, height=135)
    header = alt.Header(labelExpr="datum.value + ' personas'", labelAngle=0, labelAlign="left", labelFontSize=15)
    chart = rows.facet(row=alt.Row("personas:O", title=None, header=header), spacing=8)
    return _finished(
        chart, title="Many small studies of the same model", subtitle=theme.SIMULATED,
        caption="Each line is one study, its personas drawn at random from the same hundred: S with its 95 % interval.",
        description="Intervals of S of small studies with 10, 25 and 50 personas, beside S of the whole deck. Simulated ratings.",
    )  # fmt: skip


@exhibit.figure("printed_map")
def printed_map(table: pd.DataFrame) -> Any:
    """S against R of the published runs, with a line from each base to its variants; `table` is `quoted_figures.levels`."""
    data = _rounded(table)
    base = data[data["variant"] == "base"].set_index("model")
    lines = pd.DataFrame(
        [
            {"model": r.model, "variant": r.variant, "step": step, "S": s, "R": robust}
            for r in data.itertuples()
            if r.variant != "base"
            for step, s, robust in ((0, base["S"][r.model], base["R"][r.model]), (1, r.S, r.R))
        ]
    )
    x = alt.X("R:Q", scale=alt.Scale(type="log", nice=False, padding=30), title="Robustness R (log scale)")
    y = alt.Y("S:Q", scale=alt.Scale(zero=False, padding=20), title="Susceptibility S (scale points)")
    paths = alt.Chart(lines).mark_line(strokeWidth=1.8, opacity=0.7).encode(
        x=x, y=y, color=_color(data), detail="model:N", order="step:O", strokeDash=_scale("strokeDash", data, _DASHES),
    )  # fmt: skip
    dots = alt.Chart(data).encode(x=x, y=y)
    points = dots.mark_point(filled=True, size=190, opacity=1, stroke="white").encode(
        color=_color(data), shape=_scale("shape", data, _SHAPES), tooltip=["model", "variant", "S", "R"]
    )
    ends = alt.Chart(data[data["variant"] != "secure"])
    names = ends.mark_text(align="left", dx=10, dy=-9, fontSize=13, color=_QUIET).encode(x=x, y=y, text="model:N")
    return _finished(
        alt.layer(paths, points, names).properties(width=780, height=420), title="The collapse map of four real families",
        subtitle=_QUOTED,
        caption="Recomputed from the published ratings. Lines lead from each base to its two fine-tunes: up where S rises, to "
        "the left where R falls.",
        description="Susceptibility against robustness of four published model families, base, secure and insecure.",
    )  # fmt: skip


@exhibit.figure("anchor_map")
def anchor_map(table: pd.DataFrame) -> Any:
    """Persona anchor against extremity, with a path base, secure, insecure a model; `table` is `quoted_figures.anchors`."""
    data = _rounded(table)
    data["order"] = data["variant"].map({name: place for place, name in enumerate(_VARIANTS)})
    x = alt.X("extremity:Q", title="Extremity of the answers (right: larger steps)", scale=alt.Scale(zero=False, padding=24))
    y = alt.Y("anchor:Q", title="Variance that personas explain (down: weaker anchor)", scale=alt.Scale(zero=False, padding=20))
    frame = alt.Chart(data).encode(x=x, y=y)
    layers = [
        frame.mark_line(color=_QUIET, strokeWidth=1.2, opacity=0.6).encode(detail="model:N", order="order:O"),
        frame.mark_point(filled=True, size=190, opacity=1, stroke="white").encode(
            color=_color(data), shape=_scale("shape", data, _SHAPES), tooltip=["model", "variant", "extremity", "anchor", "ends"]
        ),
        alt.Chart(data[data["variant"] == "insecure"])
        .mark_text(align="left", dx=11, dy=-6, fontSize=13, color=_QUIET)
        .encode(x=x, y=y, text="model:N"),
    ]
    return _finished(
        alt.layer(*layers).properties(width=780, height=400), title="Larger steps, or a weaker anchor?", subtitle=_QUOTED,
        caption="Each path leads from base through secure to insecure. Recomputed from the published ratings.",
        description="Share of variance that personas explain against extremity of the answers, for four published families.",
    )  # fmt: skip


def _present(data: pd.DataFrame) -> list[str]:
    return [name for name in _VARIANTS if name in set(data["variant"])]


def _picked(data: pd.DataFrame, looks: list[Any]) -> alt.Scale:
    names = _present(data)
    return alt.Scale(domain=names, range=[looks[_VARIANTS.index(name)] for name in names])


def _color(data: pd.DataFrame) -> alt.Color:
    return alt.Color("variant:N", title=None, scale=_picked(data, _COLORS), sort=_VARIANTS)


def _scale(channel: str, data: pd.DataFrame, looks: list[Any]) -> Any:
    kind = alt.Shape if channel == "shape" else alt.StrokeDash
    return kind("variant:N", title=None, scale=_picked(data, looks), sort=_VARIANTS)


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers to six significant digits: the seventh differs between machines."""
    found = table.copy()
    for column in found.select_dtypes("float"):
        found[column] = [float(f"{value:.6g}") for value in found[column]]
    return found


def _finished(chart: Any, *, title: str, subtitle: str, caption: str, description: str) -> Any:
    """A finished figure in type that the last row can read."""
    # Red is the mark of simulated ratings.
    quiet: dict[str, Any] = {"subtitleColor": _QUIET, "subtitleFontWeight": "normal"} if subtitle == _QUOTED else {}
    return (
        chart.properties(
            title=alt.TitleParams(title, subtitle=[subtitle], **quiet), description=description,
            usermeta={"caption": caption, "embedOptions": {"actions": {"export": True, "source": False, "editor": False}}},
        )
        .configure_axis(labelFontSize=14, titleFontSize=15)
        .configure_legend(labelFontSize=14, titleFontSize=14)
        .configure_title(fontSize=17, subtitleFontSize=13)
    )  # fmt: skip


@exhibit.figure("collapse_control")
def collapse_control(steps: pd.DataFrame, profiles: pd.DataFrame, study: Study) -> Any:
    """A slider that carries a simulated model from base to collapsed, while S, R and the self profile follow.

    `steps` has share, S, R; `profiles` has share, foundation, mean; both for shares 0 to 1 in equal steps.
    """
    shares = sorted(steps["share"].unique())
    slider = alt.binding_range(min=0, max=1, step=float(shares[1] - shares[0]), name="from base (0) to collapsed (1): ")
    share = alt.param(name="share", value=0, bind=slider)
    near = "abs(datum.share - share) < 0.001"
    path = alt.Chart(theme.rounded(steps)).encode(
        x=alt.X("R:Q", scale=alt.Scale(type="log", nice=False, padding=15), title="Robustness R"),
        y=alt.Y("S:Q", scale=alt.Scale(zero=False, padding=15), title="Susceptibility S"),
    )
    moving = path.transform_filter(near)
    left = alt.layer(
        path.mark_line(color=theme.BAND, strokeDash=[3, 3]).encode(order="share:Q"),
        path.mark_point(color=theme.BAND, size=24, filled=True).encode(tooltip=["share", "S", "R"]),
        moving.mark_point(filled=True, size=260, color=theme.LOOKS["harmful"][0][0], shape="triangle-up", opacity=1),
        moving.mark_text(dx=14, dy=-14, align="left", fontSize=12).encode(text=alt.Text("S:Q", format=".2f")),
    ).properties(width=300, height=240)
    data = theme.rounded(profiles)
    data["Group"] = data.pop("foundation").map(study.instrument.short)
    right = (
        alt.Chart(data)
        .transform_filter(near)
        .mark_bar(color=theme.LOOKS["harmful"][0][0])
        .encode(
            x=alt.X("mean:Q", scale=alt.Scale(domain=list(study.instrument.scale)), title="Mean rating without a persona"),
            y=alt.Y("Group:N", sort=[study.instrument.short(f) for f in study.instrument.foundations], title=None),
            tooltip=["Group", alt.Tooltip("mean:Q", format=".2f")],
        )
        .properties(width=260, height=240)
    )
    return theme.figure(
        alt.hconcat(left, right).add_params(share), study, title="Carry a model from base to collapsed",
        caption="Move the slider. Left: the model wanders over the collapse map, up (answers differ more between personas) and "
        "to the left (less steady). Right: its answers without a persona.",
        description="A slider that moves a simulated model from base to collapsed, with its S, R and self profile.",
    )  # fmt: skip
