"""Training loops that call ``loss.backward()`` themselves: each equals a plain loop of ``method.backward``."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from dfa_core import FeedbackError, Method, insert_marks, make_method
from tests.helpers.engine_nets import Net, assert_same, batch, build, gradients, mse
from tests.helpers.engine_oracle import expected

METHODS = ["dfa", "shallow", "bp"]
STEPS, ROWS = 4, 8
FIX_HINT = r"let it have method\.wrap\(loss\)"

pytestmark = pytest.mark.filterwarnings("ignore")  # the frameworks' own


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        importlib.util.find_spec(package) is None, reason=f"needs {package}: pip install -e '.[integrations]'"
    )


def network() -> Net:
    return build(5, 7, 6, 3)


def examples() -> TensorDataset:
    return TensorDataset(*batch(STEPS * ROWS, 5, 3))


def parameters(model: nn.Module) -> dict[str, Tensor | None]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def plain_loop(
    name: str, accumulate: int = 1, clip: float | None = None, prepare: Callable[[Net], None] = lambda _: None
) -> dict[str, Tensor | None]:
    """The parameters after one epoch of a loop that calls ``method.backward``."""
    model = network()
    prepare(model)
    method, optimizer = make_method(name, model), torch.optim.SGD(model.parameters(), lr=0.1)
    for step, data in enumerate(DataLoader(examples(), ROWS), start=1):
        method.backward(mse(model, data) / accumulate)
        if step % accumulate == 0:
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()
    return parameters(model)


class TestPyTorch:
    """A loss that goes through scaling, division and sums before its own ``backward`` is called."""

    @pytest.mark.parametrize("name", METHODS)
    def test_accumulation(self, name):
        """Without it the factor of a micro-batch would reach the parameters above the tap alone."""
        by_method, by_loss = network(), network()
        one, other = make_method(name, by_method), make_method(name, by_loss)
        for seed in range(4):
            data = batch(ROWS, 5, 3, seed=seed)
            one.backward(mse(by_method, data) / 4)
            (other.wrap(mse(by_loss, data)) / 4).backward()
            assert_same(gradients(by_loss), gradients(by_method))

    @pytest.mark.parametrize("name", METHODS)
    def test_sums_of_wrapped_losses(self, name):
        """Without it only the first of a loop's loss terms would train the network."""
        model, (a, b) = network(), (batch(ROWS, 5, 3, seed=1), batch(ROWS, 5, 3, seed=2))
        method = make_method(name, model)
        method.backward(2 * mse(model, a))
        method.backward(mse(model, b))
        expected = gradients(model)
        model.zero_grad()
        (2 * method.wrap(mse(model, a)) + method.wrap(mse(model, b))).backward()
        assert_same(gradients(model), expected, rtol=1e-6, atol=1e-8)

    @pytest.mark.parametrize("name", METHODS)
    @pytest.mark.parametrize("wrapped", [True, False])
    def test_gradient_scaler(self, name, wrapped):
        """Without it mixed precision would train on gradients that are too large by the scale."""
        results = []
        for scaled in (False, True):
            model = network()
            method, optimizer = make_method(name, model), torch.optim.SGD(model.parameters(), lr=0.1)
            scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8, enabled=scaled)
            for data in DataLoader(examples(), ROWS):
                optimizer.zero_grad()
                loss = mse(model, data)
                if wrapped:
                    scaler.scale(method.wrap(loss)).backward()
                else:
                    method.backward(scaler.scale(loss))
                scaler.unscale_(optimizer)
                scaler.step(optimizer)
                scaler.update()
            results.append(parameters(model))
        assert_same(results[1], results[0])  # the scale is a power of two, so nothing is rounded otherwise
        assert_same(results[0], plain_loop(name))

    def test_a_scaler_skips_steps_that_overflow(self):
        """Without it an infinite error would reach the parameters through the feedback."""
        model, data = network(), batch(ROWS, 5, 3)
        before = parameters(model)
        method, optimizer = make_method("dfa", model), torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
        scaler.scale(method.wrap(100 * mse(model, data))).backward()
        scaler.step(optimizer)
        scaler.update()
        assert_same(parameters(model), before)
        assert scaler.get_scale() == 2.0**126


@needs("lightning")
class TestLightning:
    """A LightningModule under its Trainer."""

    @staticmethod
    def fit(name: str, how: str, **options: object) -> dict[str, Tensor | None]:
        import lightning.pytorch as lightning

        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

        class Module(lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.net = network()
                self.method = make_method(name, self.net)
                self.automatic_optimization = how != "manual"

            def training_step(self, data: list[Tensor], _: int) -> Tensor | None:
                loss = mse(self.net, data)
                if how != "manual":
                    return self.method.wrap(loss) if how == "wrapped" else loss
                optimizer = self.optimizers()
                optimizer.zero_grad()
                self.method.backward(loss)
                optimizer.step()
                return None

            def validation_step(self, data: list[Tensor], _: int) -> Tensor:
                return self.method.wrap(mse(self.net, data))

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.SGD(self.net.parameters(), lr=0.1)

        module = Module()
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **options,
        )
        loader = DataLoader(examples(), ROWS)
        trainer.fit(module, loader, loader)
        return parameters(module.net)

    @pytest.mark.parametrize("name", METHODS)
    @pytest.mark.parametrize("how", ["wrapped", "manual"])
    def test_equals_a_plain_loop(self, name, how):
        """Without it Lightning's loop would train something else than the method does."""
        assert_same(self.fit(name, how), plain_loop(name))

    def test_accumulation_and_clipping(self):
        """Without it Lightning's own options would act on other gradients than the method's."""
        found = self.fit("dfa", "wrapped", accumulate_grad_batches=2, gradient_clip_val=0.3)
        assert_same(found, plain_loop("dfa", accumulate=2, clip=0.3), rtol=1e-6, atol=1e-7)
        unclipped = plain_loop("dfa", accumulate=2)
        assert any(not torch.allclose(found[key], unclipped[key]) for key in found)

    def test_unwrapped_raises(self):
        """Without it automatic optimisation would train what lies above the tap alone, and say nothing."""
        with pytest.raises(FeedbackError, match=FIX_HINT):
            self.fit("dfa", "unwrapped")


@needs("accelerate")
class TestAccelerate:
    """``accelerator.backward``."""

    @staticmethod
    def train(name: str, accumulate: int, wrap: Callable[[Method, Tensor], Tensor]) -> dict[str, Tensor | None]:
        from accelerate import Accelerator

        accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
        net = network()
        model, optimizer, loader = accelerator.prepare(
            net, torch.optim.SGD(net.parameters(), lr=0.1), DataLoader(examples(), ROWS)
        )
        method = make_method(name, model)
        for data in loader:
            with accelerator.accumulate(model):
                accelerator.backward(wrap(method, mse(model, data)))
                optimizer.step()
                optimizer.zero_grad()
        return parameters(accelerator.unwrap_model(model))

    @pytest.mark.parametrize("name", METHODS)
    @pytest.mark.parametrize("accumulate", [1, 2])
    def test_equals_a_plain_loop(self, name, accumulate):
        """Without it accelerate's loop would train something else than the method does."""
        found = self.train(name, accumulate, lambda method, loss: method.wrap(loss))
        assert_same(found, plain_loop(name, accumulate))

    def test_unwrapped_raises(self):
        """Without it accelerate would train what lies above the tap alone, and say nothing."""
        with pytest.raises(FeedbackError, match=FIX_HINT):
            self.train("dfa", 1, lambda method, loss: loss)


@needs("transformers")
class TestHuggingFace:
    """A GPT-2 of the library, marked without editing its source, under its Trainer."""

    @pytest.fixture(autouse=True)
    def _other_datasets(self, monkeypatch):
        """The Trainer takes this project's package `datasets` for the library of that name."""
        import transformers.trainer

        monkeypatch.setattr(transformers.trainer, "is_datasets_available", lambda: False)

    @staticmethod
    def model() -> nn.Module:
        from transformers import GPT2Config, GPT2LMHeadModel

        torch.manual_seed(0)
        config = GPT2Config(
            vocab_size=19, n_positions=8, n_embd=12, n_layer=3, n_head=2, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
        )
        return GPT2LMHeadModel(config)

    @staticmethod
    def marked(name: str, tap: dict[str, int] | None = None) -> tuple[nn.Module, Method]:
        model = TestHuggingFace.model()
        blocks = {f"transformer.h.{block}": 12 for block in range(3)}
        insert_marks(model, points=blocks, tap=tap or {"lm_head": 19}, batch_dims=2)
        return model, make_method(name, model)

    @staticmethod
    def texts() -> list[dict[str, Tensor]]:
        generator = torch.Generator().manual_seed(1)
        rows = torch.randint(19, (STEPS * ROWS, 8), generator=generator)
        labels = rows.clone()
        labels[:, 0] = -100  # nothing predicts it; the Trainer's mean would count it
        return [{"input_ids": row, "labels": label} for row, label in zip(rows, labels, strict=True)]

    @staticmethod
    def fit(name: str, folder: Path, wrapped: bool, accumulate: int) -> dict[str, Tensor | None]:
        from transformers import Trainer, TrainingArguments

        model, method = TestHuggingFace.marked(name)

        class FeedbackTrainer(Trainer):
            def compute_loss(self, *args, **kwargs):
                found = super().compute_loss(*args, **kwargs)
                if not wrapped:
                    return found
                if isinstance(found, tuple):  # with outputs: an evaluation
                    return method.wrap(found[0]), found[1]
                return method.wrap(found)

        arguments = TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=ROWS // accumulate,
            gradient_accumulation_steps=accumulate,
            num_train_epochs=1,
            optim="sgd",
            learning_rate=0.1,
            lr_scheduler_type="constant",
            max_grad_norm=0,
            train_sampling_strategy="sequential",
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        data = TestHuggingFace.texts()
        trainer = FeedbackTrainer(model, arguments, train_dataset=data, eval_dataset=data[:8])
        trainer.train()
        trainer.evaluate()
        return parameters(model)

    @staticmethod
    def plain(name: str) -> dict[str, Tensor | None]:
        model, method = TestHuggingFace.marked(name)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        rows = torch.stack([text["input_ids"] for text in TestHuggingFace.texts()])
        for ids in rows.split(ROWS):
            method.backward(model(input_ids=ids, labels=ids).loss)
            optimizer.step()
            optimizer.zero_grad()
        return parameters(model)

    @pytest.mark.parametrize("name", METHODS)
    @pytest.mark.parametrize("accumulate", [1, 2])
    def test_equals_a_plain_loop(self, name, accumulate, tmp_path):
        """Without it the Trainer would train something else than the method does."""
        assert_same(self.fit(name, tmp_path, True, accumulate), self.plain(name), rtol=1e-5, atol=1e-6)

    def test_unwrapped_raises(self, tmp_path):
        """Without it the Trainer would train what lies above the tap alone, and say nothing."""
        with pytest.raises(FeedbackError, match=FIX_HINT):
            self.fit("dfa", tmp_path, False, 1)

    @pytest.mark.parametrize("name", ["dfa", "shallow"])
    @pytest.mark.parametrize("tap", [{"lm_head": 19}, {"transformer.ln_f": 12}])
    def test_inserted_marks_follow_the_formula(self, name, tap):
        """Without it the marks could lie elsewhere, and the runs above agree all the same; the word embedding, which
        is tied to the head, lies on both sides of the second tap.
        """
        model, method = self.marked(name, tap)
        assert list(method.layout.tap_of) == [f"transformer.h.{block}" for block in range(3)]
        ids = torch.stack([text["input_ids"] for text in self.texts()[:ROWS]])

        def loss() -> Tensor:
            return model(input_ids=ids, labels=ids).loss

        oracle = expected(model, method, loss)
        method.backward(loss())
        assert_same(gradients(model), oracle, rtol=1e-4, atol=1e-7)
