"""Numbers in prose are those of the published tables: where evidence changes, this says what the sentence should be."""

from __future__ import annotations

import re
from functools import cache

import pandas as pd
import pytest
from scipy.stats import gmean

from tests import REPOSITORY

TABLES = REPOSITORY / "results" / "published" / "tables"


@cache
def table(name: str) -> pd.DataFrame:
    return pd.read_csv(TABLES / name)


def percent(value: float, decimals: int = 1) -> str:
    return f"{100 * value:.{decimals}f}".replace("-", "−")


def gap(method: str, network: str, decimals: str = "1") -> str:
    """A cell of the matrix, in percent."""
    return percent(table("matrix.csv").set_index("method").loc[method, network], int(decimals))


def interval(method: str, network: str, dataset: str, profile: str) -> str:
    """The interval of a gap closed; ``all`` is the mean over the data sets."""
    rows = table(f"{profile}/gap_closed.csv")
    here = rows.dataset.isna() if dataset == "all" else rows.dataset == dataset
    ((_, row),) = rows[here & (rows.method == method) & (rows.architecture == network)].iterrows()
    return f"[{percent(row['gap low'])}, {percent(row['gap high'])}]"


def room(network: str) -> str:
    """Backprop − shallow, with its interval, as the headline has it."""
    rows = table("headline.csv")
    return _room(rows[(rows.architecture == network) & (rows.data_source == "real")])


def tuned_room(network: str) -> str:
    """The same with searched settings on 137,139 rows of Criteo."""
    rows = table("long/gap_closed.csv")
    return _room(rows[(rows.architecture == network) & (rows.domain == "tuned_recommendation")])


def _room(rows: pd.DataFrame) -> str:
    ((_, row),) = rows.iterrows()
    texts = [f"{row[f'room {part}']:+.4f}".replace("0.", ".").replace("-", "−") for part in ("mean", "low", "high")]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"


def standin(method: str) -> str:
    """The gap that a method closes on the Transformer's stand-in."""
    rows = table("quick/gap_closed_standin.csv")
    (value,) = rows[(rows.method == method) & (rows.architecture == "transformer")]["gap mean"]
    return percent(value)


def quick(method: str, architecture: str) -> str:
    """The gap that a method closes on real data at profile quick."""
    rows = table("quick/gap_closed.csv")
    (value,) = rows[(rows.method == method) & (rows.architecture == architecture)]["gap mean"]
    return percent(value)


def recommenders(method: str) -> str:
    """The four cells of a method, without decimals."""
    first, second, third, fourth = (gap(method, network, "0") for network in ("DeepFM", "DCN", "AFN", "AutoInt"))
    return f"{first}, {second}, {third} and {fourth}%"


def anchor(split: str, model: str) -> str:
    """The AUC of a model without a network."""
    rows = table("studies/click_anchors_anchors.csv")
    (value,) = rows[rows.split.str.startswith({"random": "random", "days": "by days"}[split])
                    & rows.model.str.startswith(model)].AUC  # fmt: skip
    return f"{float(str(value).split(' ')[0]):.3f}".removeprefix("0")


def claim(study: str, start: str, decimals: str, profile: str = "quick") -> str:
    """Our number for the claim of a study that starts so, with _ for spaces."""
    rows = table("studies.csv")
    (value,) = rows[
        (rows.study == study) & rows.claim.str.startswith(start.replace("_", " ")) & (rows.profile == profile)
    ].ours
    text = f"{value:z.{decimals}f}".replace("-", "−")  # z: no minus before a zero
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def exponent(method: str) -> str:
    """The exponent of loss in compute."""
    rows = table("studies.csv")
    ours = rows[(rows.study == "scaling") & (rows.profile == "long")].set_index("claim").ours
    found = {"bp": ours["backprop's own curve is not flat: data do not limit it"]}
    for steeper, flatter in (("bp", "dfa"), ("dfa", "shallow")):
        found[flatter] = found[steeper] + ours[f"loss falls faster with compute under {steeper} than under {flatter}"]
    return f"{found[method]:.3f}".replace("-0", "−")


def behind(size: str) -> str:
    """How far DFA's loss is above backprop's, in nats, of the network of a size (0: the smallest)."""
    rows = table("studies/scaling_sizes.csv")
    losses = {one: rows[rows.training == one].iloc[int(size), 3] for one in ("bp", "dfa")}
    loss = {one: float(text.split(" ")[0]) for one, text in losses.items()}
    return f"{loss['dfa'] - loss['bp']:.2f}".removeprefix("0")


#: Our number and the log's, of the masked bottleneck.
BOTTLENECK = {"train": ("train %", "log", 1), "test": ("test %", "log.1", 1),
              "cosine": ("cosine at the bottleneck", "log.2", 3)}  # fmt: skip


def _bottleneck(measure: str) -> pd.DataFrame:
    ours, log, _ = BOTTLENECK[measure]
    rows = table("studies/bottleneck_released.csv").set_index("b")
    return pd.DataFrame({"ours": rows[ours].astype(str).str.split(" ").str[0].astype(float), "log": rows[log]})


def cell(number: str, training: str, images: str) -> str:
    """The accuracy of a cell of the best practices, on "train" or "test" images."""
    rows = table("studies/best_practices_cells.csv")
    (text,) = rows[(rows.cell == int(number)) & (rows.training == training)][f"{images} %"]
    return str(text).split(" ")[0]


def released(width: str, measure: str) -> str:
    """Our number of the masked bottleneck."""
    return f"{_bottleneck(measure).ours[int(width)]:.{BOTTLENECK[measure][2]}f}".removeprefix("0")


def farthest(measure: str) -> str:
    """The largest distance from the released log over all widths."""
    rows = _bottleneck(measure)
    assert len(rows) == 14
    return f"{(rows.ours - rows.log).abs().max():.{BOTTLENECK[measure][2]}f}".removeprefix("0")


def score(method: str, network: str, dataset: str, profile: str) -> str:
    """The mean of a run's metric."""
    rows = table("methods.csv")
    (value,) = rows[
        (rows.method == method) & (rows.architecture == network) & (rows.dataset == dataset) & (rows.profile == profile)
    ]["mean"]
    return f"{value:.1f}"


def auc(method: str, network: str) -> str:
    """The mean over seeds on 137,139 rows of Criteo."""
    return f"{_clicks(method, network, 'auc'):.4f}".removeprefix("0")


def log_loss(method: str, network: str) -> str:
    """The mean over seeds on 137,139 rows of Criteo."""
    return f"{_clicks(method, network, 'log_loss'):.3f}".removeprefix("0")


def _clicks(method: str, network: str, metric: str) -> float:
    rows = table("all_results.csv")
    here = (rows.task == f"criteo_137k/{network}") & (rows.method == method) & (rows.profile == "long")
    (value,) = rows[here & (rows.metric == metric)]["mean"]
    return float(value)


def _steps(size: str) -> pd.DataFrame:
    rows = table("speed.csv")
    return rows[(rows["size"] == size) & (rows.method == "dfa") & ~rows.compiled]


def without_zero(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")


def mean_ratio(size: str) -> str:
    """The geometric mean of dfa ÷ bp over all architectures."""
    return without_zero(gmean(_steps(size).ratio_to_bp))


def mean_limit(size: str) -> str:
    """That of the limits which the products set."""
    return without_zero(gmean(_steps(size).product_limit))


def ratio(task: str) -> str:
    """dfa ÷ bp of one task at published size."""
    rows = _steps("published")
    (value,) = rows[rows.task == task].ratio_to_bp
    return without_zero(value)


#: By document: sentences, with the numbers as {function argument …}.
SENTENCES = [
    ("README.md", "A step under DFA takes {mean_ratio published} of backprop's on average, from {ratio criteo/afn}"
     " (AFN) to {ratio citation/gcn_cora} (GCN on Cora), where the products alone would allow {mean_limit published}"),
    ("README.md", "Backprop − `shallow` is {room deepfm} on DeepFM, {room afn} on AFN and {room autoint} on AutoInt"),
    ("README.md", "raise DCN's three AUCs to {auc bp dcn_tuned}, {auc dfa dcn_tuned} and {auc shallow dcn_tuned}, and"),
    ("docs/speed.md", "The geometric mean over the seventeen is {mean_ratio published} where the products would allow"
     " {mean_limit published}; at laptop sizes it is {mean_ratio laptop} and {mean_limit laptop}."),
    ("docs/methods.md", "GCN on three graphs, published settings, ten seeds, **{gap structural GCN}**"
     " {interval structural gcn all paper} where `dfa` closes {gap dfa GCN}; the Transformer"),
    ("docs/methods.md", "**{gap structural Transformer}** {interval structural_macro transformer wikitext2 long}"
     " (perplexity {score structural transformer wikitext2 long} with backprop's recipe, `bp`"
     " {score bp transformer wikitext2 long}, `dfa` {score dfa transformer wikitext2 long}) where `dfa` closes"
     " {gap dfa Transformer}."),
    ("docs/methods.md", "the best are Kolen-Pollack on ChebConv ({gap kolen_pollack ChebConv}) and SplineConv"
     " ({gap kolen_pollack SplineConv}), `structural` on GCN ({gap structural GCN}), DNA ({gap structural DNAConv};"
     " Kolen-Pollack {gap kolen_pollack DNAConv}) and the Transformer ({gap structural Transformer}), `fa` on GATConv"
     " ({gap fa GATConv}), `directional` on the autoencoder ({gap directional GAE})"),
    ("docs/methods.md", "`predictive_coding` fails on GATConv ({gap predictive_coding GATConv})"),
    ("docs/methods.md", "on DeepFM, DCN, AFN and AutoInt `sign_symmetry` closes {recommenders sign_symmetry},"
     " `kolen_pollack` {recommenders kolen_pollack}, `fa`, whose weights stay random, {recommenders fa}."),
    ("docs/methods.md", "`structural` comes closest ({standin structural_macro}) where `dfa` closes"
     " {standin dfa_macro}. Backward weights that follow the forward weights come next (`kolen_pollack`"
     " {gap kolen_pollack Transformer}, `sign_symmetry` {gap sign_symmetry Transformer}); random ones close less (`fa`"
     " {gap fa Transformer}). Feedback that learns the Jacobian closes {standin directional_macro} (`directional`),"
     " local losses {standin local_macro} (`local`), labels alone {standin drtp_macro}"),
    ("docs/methods.md", "On the radiance field `sign_symmetry` comes near backprop ({gap sign_symmetry NeRF}), then"
     " `local` ({gap local NeRF}); `kolen_pollack` closes {gap kolen_pollack NeRF}, `directional`"
     " {gap directional NeRF}, `dfa` {quick dfa nerf}, `forward_gradient` {gap forward_gradient NeRF} and `fa`"
     " {gap fa NeRF} (one of"),
    ("docs/methods.md", "as good as backprop on the MLP ({gap dfa MLP}) and the small CNN ({gap dfa CNN}), and fails on"
     " ResNet ({gap dfa ResNet}) and ViT ({gap dfa ViT}). There weights on the way back help (`kolen_pollack`"
     " {gap kolen_pollack ResNet} and {gap kolen_pollack ViT}), and on ViT local losses (`local`"
     " {gap local ViT})."),
    ("docs/reproduction.md", "DeepFM {auc bp deepfm}, {auc dfa deepfm}, {auc shallow deepfm}; AutoInt {auc bp autoint},"
     " {auc dfa autoint}, {auc shallow autoint}; AFN {auc bp afn}, {auc dfa afn}, {auc shallow afn};"
     " DCN {auc bp dcn}, {auc dfa dcn}, {auc shallow dcn}. The"
     " factorization machine has {auc bp fm}, and a logistic regression {anchor random logistic} ("),
    ("docs/reproduction.md", "DCN {auc bp dcn_tuned}, {auc dfa dcn_tuned}, {auc shallow dcn_tuned}; DeepFM"
     " {auc bp deepfm_tuned}, {auc dfa deepfm_tuned}, {auc shallow deepfm_tuned}. Backprop − `shallow` is"
     " {tuned_room dcn} on DCN and {tuned_room deepfm} on DeepFM."),
    ("docs/reproduction.md", "on DeepFM ({log_loss bp deepfm_tuned} and {log_loss shallow deepfm_tuned}); with"),
    ("docs/reproduction.md", "they are about equal ({log_loss bp deepfm} and {log_loss shallow deepfm})."),
    ("docs/studies.md", "a logistic regression reaches an AUC of {anchor random logistic} (random split) and"
     " {anchor days logistic} (by days), boosted trees {anchor random boosted} and {anchor days boosted}"),
    ("docs/studies.md", "weights that learn: {released 1 cosine} at b = 1,"
     " {released 46 cosine} at 46, {released 191 cosine} at 191, {released 800 cosine} without a mask"),
    ("docs/studies.md", "No cosine is further than {farthest cosine} from the log, no test accuracy than"
     " {farthest test} points, no training accuracy than {farthest train}."),
    ("docs/studies.md", "Test accuracy is best at b = 118 and 191 ({released 118 test}% at both; {released 800 test}%"
     " without a mask), where training accuracy is {released 118 train} and {released 191 train}%."),
    ("docs/studies.md", "b = 118 and 191 ({released 191 test}% at both;"),
    ("docs/studies.md", "weights with a cosine of {claim deep_nets mnist,_relu:_DFA 2 long} (ReLU) and"
     " {claim deep_nets mnist,_tanh:_DFA 2 long} (tanh) after 300 epochs on all images, under backprop"
     " {claim deep_nets mnist,_relu:_backprop 2 long} and {claim deep_nets mnist,_tanh:_backprop 2 long}."),
    ("docs/studies.md", "falls from its peak by {claim deep_nets relu:_total_weight 3 long} (ReLU) and"
     " {claim deep_nets tanh:_total_weight 3 long} (tanh), that of the gradients by"
     " {claim deep_nets relu:_total_gradient 3 long} and {claim deep_nets tanh:_total_gradient 3 long},"),
    ("docs/studies.md", "({claim deep_nets 10,000_images:_label 3 long}) of what it is without after one epoch"),
    ("docs/studies.md", "by heart, it is {claim deep_nets all_images:_label 2 long} and"
     " {claim deep_nets all_images:_and 2 long}."),
    ("docs/studies.md", "of ReLU nets by {claim deep_nets relu:_correlated 2 long} and of tanh nets by"
     " {claim deep_nets tanh:_correlated 2 long} between"),
    ("docs/studies.md", "at the deepest layer of a tanh perceptron by {claim best_practices dropout 2 long}."),
    ("docs/studies.md", "With tanh and scaled feedback DFA reaches {cell 3 dfa test}% on the test images. Without the"
     " scale it reaches {cell 8 dfa test}%, and with ReLU {cell 4 dfa test}%"),
    ("docs/studies.md", "({cell 1 dfa train}% of the training images instead of {cell 3 dfa train}%), but not the test"
     " accuracy ({cell 1 dfa test}%). Dropout of .1 changes nothing ({cell 11 dfa test}%),"
     " dropout of .5 lowers the test accuracy to {cell 10 dfa test}%."),
    ("docs/studies.md", "fits {cell 3 bp train}% of the training images, and {cell 3 bp test}% of the test images"),
    ("docs/studies.md", "DFA reaches {cell 2 dfa test}%, without it {cell 14 dfa test}% ({cell 9 dfa test}% with"
     " feedback that is not scaled); backprop reaches {cell 14 bp test}% without it."),
    ("docs/studies.md", "backprop fits {cell 14 bp train}% of its 10,000 images"),
    ("docs/studies.md", "DFA gains {claim convolutions convolution: 1} points over shallow training with convolutions,"
     " {claim convolutions locally_connected: 1} with locally connected layers and"
     " {claim convolutions fully_connected: 1} with unrestricted linear maps"),
    ("docs/studies.md", "The exponent of loss in compute is {exponent bp} under backprop, {exponent dfa} under DFA and"
     " {exponent shallow} under shallow training."),
    ("docs/studies.md", "the smallest network is {behind 0} nats behind backprop's, the others {behind 2} to"
     " {behind 1}. Between the two largest networks backprop's loss falls faster, by"
     " {claim scaling loss_falls_faster_with_compute_under_bp_than_under_dfa_between 3 long} in"),
    ("docs/studies.md", "No run of DFA comes closer than {claim scaling DFA_never 2 long} nats to backprop's line"),
]  # fmt: skip


def filled(sentence: str) -> str:
    def number(match: re.Match[str]) -> str:
        name, *arguments = match[1].split()
        return str(globals()[name](*arguments))

    return re.sub(r"\{([^}]+)\}", number, sentence)


@pytest.mark.parametrize(("document", "sentence"), SENTENCES, ids=[f"{d}: {s[:30]}" for d, s in SENTENCES])
def test_the_sentence_has_the_numbers_of_the_tables(document, sentence):
    """Prose is what is forgotten when evidence is renewed."""
    text = " ".join((REPOSITORY / document).read_text(encoding="utf-8").split())
    assert filled(sentence) in text, f"{document} should say: {filled(sentence)}"


def test_another_number_would_be_seen():
    """The check itself can fail."""
    assert filled("{gap dfa GCN}") != filled("{gap dfa GATConv}") and "{" not in filled(SENTENCES[0][1])
