"""A language model, a recommender and a radiance field of libraries that `make setup` does not install."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.settings.schema import HardwareConfig
from benchmarks.speed.data import FIELD_SIZES
from benchmarks.speed.forms import FORMS
from benchmarks.speed.peers.training import Pair, our_stepper, sizes_of, step_of
from benchmarks.tasks.view_synthesis.network import RadianceField

_SAMPLES = 192  # on each ray: those of the coarse and the fine field together


def language(hardware: HardwareConfig) -> Pair:
    """GPT-2 of Hugging Face's transformers (norms before the sublayers, as it has them), ReLU as ours."""
    from transformers import GPT2Config, GPT2LMHeadModel

    stepper = our_stepper("wikitext2/macro", hardware)
    size = sizes_of(stepper.settings)
    config = GPT2Config(
        vocab_size=stepper.settings.vocabulary, n_positions=size.context, n_embd=size.width,
        n_layer=size.layers, n_head=size.heads, n_inner=size.hidden, activation_function="relu",
        resid_pdrop=size.dropout, embd_pdrop=size.dropout, attn_pdrop=size.attention_dropout,
        tie_word_embeddings=False, use_cache=False, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    ids, targets = next(stepper.batches)

    def loss() -> Tensor:
        return F.cross_entropy(model(ids).logits.flatten(0, 1), targets.flatten())

    return Pair(stepper.step, step_of(model, stepper.settings, loss))


def recommender(hardware: HardwareConfig) -> Pair:
    """DeepFM of DeepCTR-Torch, which updates whole tables: so does ours here."""
    from deepctr_torch.inputs import SparseFeat
    from deepctr_torch.models import DeepFM

    stepper = our_stepper("criteo/deepfm", hardware, "task.embedding_update=dense")
    size = sizes_of(stepper.settings)
    fields = [SparseFeat(f"field{i}", values, size.embedding) for i, values in enumerate(FIELD_SIZES)]
    model = DeepFM(
        fields, fields, dnn_hidden_units=(size.hidden,) * size.layers, dnn_dropout=size.dropout, dnn_use_bn=True,
        l2_reg_linear=0, l2_reg_embedding=0,
    )  # fmt: skip
    ids, labels = next(stepper.batches)
    offsets = torch.tensor((0, *FIELD_SIZES[:-1])).cumsum(0)
    numbers = (ids - offsets).float()  # it counts each field's values from 0, and takes them as numbers

    def loss() -> Tensor:
        return F.binary_cross_entropy(model(numbers).squeeze(1), labels)

    return Pair(stepper.step, step_of(model, stepper.settings, loss))


def radiance_field(hardware: HardwareConfig) -> Pair:
    """The field of nerf-pytorch, fitted to colours at random points: four layers, and two on the direction.

    Its layer norms and its second layer on the direction are work that ours does not have, its density and colour
    read a layer each as ours do.
    """
    from nerf.model import NeRF

    settings = our_stepper("nerf_synthetic/lego", hardware).settings
    size = sizes_of(settings)
    ours, theirs = (
        RadianceField(size),
        NeRF(
            hidden_size=size.width,
            x_positional_encoding_size=2 * size.position_frequencies,
            d_positional_encoding_size=2 * size.direction_frequencies,
            learn_cdf_for_volume_sampling=False,
        ),
    )
    positions, directions = torch.rand(settings.rays, _SAMPLES, 3), F.normalize(torch.randn(settings.rays, 3), dim=-1)
    colours, every = torch.rand(settings.rays, _SAMPLES, 3), directions.unsqueeze(1).expand(-1, _SAMPLES, -1)

    def our_loss() -> Tensor:
        raw = ours(positions, directions)
        return F.mse_loss(raw[..., :3].sigmoid(), colours) + raw[..., 3].relu().mean()

    def their_loss() -> Tensor:
        density, colour = theirs(positions, every)
        return F.mse_loss(colour, colours) + density.relu().mean()

    FORMS["bp"](ours)
    return Pair(step_of(ours, settings, our_loss), step_of(theirs, settings, their_loss))
