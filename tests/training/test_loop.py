"""The training loop: budgets, early stopping, best weights, divergence, and a clock that counts training only."""

from __future__ import annotations

import math
import time

import pytest
import torch
from torch.nn import functional as F

from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.optim import Schedule
from tests.helpers.toy_task import BATCHES, Scripted, StopAt, Toy, make_loop, run_to_next_stop, settings


def patient(patience, **options):
    config = settings(**options)
    config.patience = patience
    return config


def test_a_budget_of_epochs():
    """One epoch too few or too many is a different experiment; rows say when each evaluation took place."""
    loop = make_loop(config=settings(epochs=3, eval_every=2))
    progress = loop.run()
    assert (progress.epoch, progress.step, progress.samples) == (3, 3 * BATCHES, 3 * 48)
    assert [(row["epoch"], row["step"]) for row in progress.history] == [(2, 12), (3, 18)]
    assert loop.task.served == [(e, b) for e in range(3) for b in range(BATCHES)]


def test_a_budget_of_steps():
    """Steps end within an epoch, and the last one is evaluated even if it is not its turn."""
    loop = make_loop(config=settings(epochs=None, steps=14, eval_every=5))
    progress = loop.run()
    assert (progress.epoch, progress.step) == (2, 14)
    assert [row["step"] for row in progress.history] == [5, 10, 14]
    assert loop.task.served[-1] == (2, 1) and len(loop.task.served) == 14


def test_an_epoch_without_batches_is_an_error():
    """Otherwise a task with an empty dataset would train without end."""
    loop = make_loop(config=settings(epochs=2))
    loop.task.batches = lambda epoch, start=0: iter(())
    with pytest.raises(ValueError, match="epoch 0 of Toy has no batches"):
        loop.run()


def test_early_stopping_counts_evaluations_since_the_best():
    """Patience 2: the second evaluation in a row without a better one is the last. A tie is not better."""
    script = [10.0, 30.0, 30.0, 20.0, 99.0]
    loop = make_loop(config=patient(2, epochs=5), toy=lambda: Scripted(script))
    progress = loop.run()
    assert progress.epoch == 4 and progress.finished and progress.best == 30.0
    loop = make_loop(config=patient(2, epochs=5), toy=lambda: Scripted([10.0, 9.0, 11.0, 5.0, 12.0]))
    assert loop.run().epoch == 5  # the counter starts anew with every better value


@pytest.mark.parametrize("patience", [None, 3])
def test_the_best_weights_are_tested_even_if_stopping_never_fires(patience):
    """Testing the last weights instead would be a silent change of the selection rule."""
    loop = make_loop(config=patient(patience, epochs=4), toy=lambda: Scripted([10.0, 40.0, 20.0, 30.0]))
    progress = loop.run()
    loop.load_best()
    assert progress.best_metrics == {"valid_accuracy": 40.0} and progress.epoch == 4
    for name, value in loop.task.model.state_dict().items():
        assert torch.equal(value, loop.task.seen[1][name])
    assert not torch.equal(loop.task.seen[1]["layers.0.weight"], loop.task.seen[3]["layers.0.weight"])


def test_a_loss_is_better_when_it_is_lower():
    """The sign of the selection metric comes from its name; the wrong one would keep the worst weights."""
    loop = make_loop(config=settings(epochs=6, lr=0.05))
    progress = loop.run()
    assert progress.best == min(row["valid_loss"] for row in progress.history) and not loop.higher_is_better
    assert make_loop(toy=lambda: Scripted([1.0])).higher_is_better


class Exploding(Toy):
    """The loss is not a number from the given epoch on, or its validation is."""

    def __init__(self, epoch, where="loss"):
        super().__init__()
        self.epoch, self.where, self.now = epoch, where, 0

    def batches(self, epoch, start=0):
        self.now = epoch
        return super().batches(epoch, start)

    def loss(self, batch):
        factor = math.nan if self.now >= self.epoch and self.where == "loss" else 1.0
        return F.mse_loss(self.model(self.x[batch]), self.y[batch]) * factor

    def validate(self):
        assert not any(value.isnan().any() for value in self.model.state_dict().values()) or self.where != "loss"
        return {"valid_loss": math.inf} if self.now >= self.epoch and self.where == "validation" else super().validate()


@pytest.mark.parametrize("where", ["loss", "validation"])
def test_divergence_ends_the_run_with_the_best_weights_before_it(where):
    """A run that diverges stops at once, says so, and neither keeps nor validates weights that are not numbers."""
    loop = make_loop("bp", settings(epochs=6), toy=lambda: Exploding(2, where))
    progress = loop.run()
    assert progress.diverged and progress.finished and progress.epoch == 3 and len(progress.history) == 3
    loop.load_best()
    assert math.isfinite(progress.best) and all(v.isfinite().all() for v in loop.task.model.state_dict().values())


class Slow(Toy):
    """Each evaluation takes 50 ms."""

    def validate(self):
        time.sleep(0.05)
        return super().validate()


def test_the_clock_counts_training_only(tmp_path):
    """Evaluation, logging and checkpoints are not training; methods must not be compared by how often they validate."""
    loop = make_loop("bp", settings(epochs=4), toy=Slow, on_evaluation=lambda row: time.sleep(0.05))
    checkpoint = Checkpoint(tmp_path / "run.pt", every_seconds=0)

    def slow_save(loop):
        with loop.clock_stopped():
            time.sleep(0.02)
        checkpoint.save_if_due(loop)

    started = time.perf_counter()
    progress = loop.run(after_step=lambda: slow_save(loop))
    outside = 4 * 0.1 + 24 * 0.02
    assert progress.eval_seconds >= 0.2
    assert 0 < progress.train_seconds < time.perf_counter() - started - outside


def test_time_before_a_checkpoint_is_not_lost(tmp_path):
    """After a kill, training continues from a periodic checkpoint: the seconds up to it count, as the samples do."""
    loop = make_loop("bp", settings(epochs=2))
    checkpoint = Checkpoint(tmp_path / "run.pt", every_seconds=0)
    taken = []

    def after_step():
        time.sleep(0.02)  # stands for a long step
        checkpoint.save_if_due(loop)
        taken.append(loop.progress.train_seconds)

    loop.run(after_step)
    assert taken[0] >= 0.02 and taken[2] >= 0.06
    assert taken == sorted(taken)


def test_clipping_bounds_the_norm_of_all_gradients():
    """A clip that never fires, or fires per tensor, would change what a large step does."""
    loop = make_loop("bp", settings(epochs=1, clip_norm=1e-3))
    seen = []
    step = loop.optimizer.step

    def watched():
        gradients = [p.grad.flatten() for p in loop.task.model.parameters()]
        seen.append(torch.cat(gradients).norm().item())
        return step()

    loop.optimizer.step = watched
    loop.run()
    assert len(seen) == BATCHES and all(norm == pytest.approx(1e-3, rel=1e-4) for norm in seen)


def rates(steps=30, values=None, **optim):
    """The learning rate used for each step under a schedule; ``values``: the metric after each of them."""
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = Schedule(optimizer, settings(lr=0.1, **optim).optim, higher_is_better=False)
    used = []
    for step in range(steps):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.after_step()
        if values is not None:
            schedule.after_evaluation(values[step])
    return used


def test_schedules_follow_their_formulas():
    """A schedule off by one step, or with another peak, trains something else under the published name."""
    assert rates(schedule="constant") == [0.1] * 30
    exponential = rates(schedule="exponential", schedule_steps=8, schedule_factor=0.25)
    assert exponential == pytest.approx([0.1 * 0.25 ** (t / 8) for t in range(30)])
    noam = rates(schedule="noam", schedule_steps=6)
    assert noam == pytest.approx([0.1 * min(t / 6, (6 / t) ** 0.5) for t in range(1, 31)])
    assert max(noam) == noam[5] == pytest.approx(0.1)
    values = [5, 4, 4, 4, 4, 3, 3, 3, 3, 3]
    plateau = rates(10, values, schedule="plateau", schedule_steps=2, schedule_factor=0.1)
    assert plateau == pytest.approx([0.1] * 5 + [0.01] * 4 + [0.001])  # after three evaluations that are no better


def test_a_schedule_steps_once_a_training_step():
    """Stepped once an epoch instead, a warm-up of steps would last for epochs."""
    loop = make_loop("dfa", settings(epochs=2, schedule="exponential", schedule_steps=12, schedule_factor=0.5))
    history = loop.run().history
    assert [row["lr"] for row in history] == pytest.approx([0.02 * 0.5**0.5, 0.02 * 0.5])


def test_weight_decay_of_the_first_layer_alone():
    """Published settings decay the first layer only; with all layers the others would shrink as well."""
    config = settings(weight_decay=0.1, decay="first_layer")

    class FirstOnly(Toy):
        def first_layer(self):
            return [self.model.layers[0]]

    groups = make_loop("bp", config, toy=FirstOnly).optimizer.param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(2, 0.1), (4, 0.0)]
    assert [group["weight_decay"] for group in make_loop(config=settings(weight_decay=0.1)).optimizer.param_groups] == [
        0.1
    ]


def test_the_test_is_in_the_precision_of_validation():
    """A test in fp32 after a validation in bf16 would select by one quantity and report another."""
    loop = make_loop("bp", settings(epochs=1), precision="bf16")
    loop.run()
    seen = []
    loop.task.test = lambda: seen.append(loop.task.model(loop.task.x).dtype) or {}
    loop.test()
    assert seen == [torch.bfloat16] and not loop.task.model.training


def test_bf16_runs_and_keeps_weights_in_fp32():
    """Autocast belongs around forward and loss only: weights and moments in bf16 would lose small updates."""
    loops = {}
    for precision in ("bf16", "fp32"):
        loops[precision] = make_loop("dfa", settings(epochs=2), precision=precision)
        loops[precision].run()
    rounded, exact = (loop.progress.history[-1]["valid_loss"] for loop in loops.values())
    assert rounded != exact and rounded == pytest.approx(exact, rel=0.05)
    assert {value.dtype for value in loops["bf16"].task.model.state_dict().values()} == {torch.float32}


def test_an_interrupt_takes_effect_after_the_step_in_progress():
    """Ctrl-C loses at most that step, and none of what was done is done again."""
    stop = StopAt(5)
    loop = make_loop("dfa", settings(epochs=3), stop_requested=stop)
    stop.loop = loop
    assert run_to_next_stop(loop) and loop.progress.step == 5 and not loop.progress.finished
