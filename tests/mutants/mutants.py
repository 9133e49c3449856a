"""The mutants: a line of a method as somebody could have written it wrongly."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """A wrong version of a method: in ``module`` of `dfa_core`, ``right`` is replaced by ``wrong``."""

    method: str
    what: str
    module: str
    right: str
    wrong: str


def _of(method: str, module: str, *changes: tuple[str, str, str]) -> list[Mutant]:
    return [Mutant(method, what, module, right, wrong) for what, right, wrong in changes]


MUTANTS: list[Mutant] = [
    *_of(
        "bp", "methods/backprop",
        ("backward twice", "torch.autograd.backward(loss)", "torch.autograd.backward(2 * loss)"),
        ("sign flipped", "torch.autograd.backward(loss)", "torch.autograd.backward(-loss)"),
        ("attached to another method", "self.layout.check_attached(self.model, None)", "pass"),
    ),
    *_of(
        "bp_recompute", "methods/recompute",
        ("nothing is recomputed", ", _checkpointing(self._segments):", ":"),
        ("running statistics move twice", "return _first_run(start), _again(module, start)", "return nullcontext(), nullcontext()"),
        ("models without segments are backprop", "if not self._segments:", "if False:"),
    ),
    *_of(
        "shallow", "methods/shallow",
        ("sends something", "return {}", "return {n: h for n, h in forward_pass.activations.items()}"),
        ("claims to train all", "leaves_parameters_untrained = True", "leaves_parameters_untrained = False"),
        ("sends zeros, which an optimizer with decay acts on", "return {}", "return {n: 0 * h for n, h in forward_pass.activations.items()}"),
    ),
    *_of(
        "dfa", "methods/dfa",
        ("sign flipped", "signals[name] = projected[name].reshape(activation.shape)", "signals[name] = -projected[name].reshape(activation.shape)"),
        ("centre not subtracted", "error = error - error.flatten(0, -2).mean(0)", "error = error - 0 * error.flatten(0, -2).mean(0)"),
        ("quantised error not rescaled", "return levels * torch.where(length > 0, error.norm(dim=-1, keepdim=True) / length.clamp(min=1), 0)", "return levels"),
        ("threshold ignored", "error.abs() > threshold * error.abs().max()", "error.abs() > 0"),
        ("noise of one step for all", "        if self.noise:\n            self.drawn.advance()", "        pass"),
        ("noise not relative", "self.noise * _deviation(exact) * self.drawn", "self.noise * self.drawn"),
        ("the deviation of one entry is NaN", "entries.std() if entries.numel() > 1 else 0.0", "entries.std()"),
        ("levels not rounded", "(projection / largest * steps).round()", "(projection / largest * steps)"),
    ),
    *_of(
        "dfa", "feedback",
        ("low rank of another size", "common /= common.square().mean().sqrt() * math.sqrt(self._rank)", "common /= common.square().mean().sqrt()"),
        ("sparse rows of another size", "math.sqrt(shape[1] / kept)", "1.0"),
        ("sparse rows may be empty", "kept = max(1, round(density * shape[1]))", "kept = round(density * shape[1])"),
    ),
    *_of(
        "dfa", "families/error_feedback",
        ("nothing is recomputed", "        if not self.recompute:\n            return super().gradients", "        if True:\n            return super().gradients"),
        ("other dropout masks in the second pass", "rewind.again(), torch.enable_grad()", "torch.enable_grad()"),
        ("no error below the tap", "        self._send(Visited(name, self._ran[name], name), x)\n", ""),
        ("other points in the second pass", "if self._visits[self._next : self._next + 1] != [(name, x.shape)]:", "if False:"),
        ("erased gradients are not missed", "            self._so_far.check()", "            pass"),
        ("hooks run once a segment", "            self._hooked.check(x, at)\n", ""),
        ("one pass's signals for all", "self._send(Visited(self._tap_of[name], self._ran[self._tap_of[name]], name), x)", "self._send(Visited(self._tap_of[name], 0, name), x)"),
    ),
    *_of(
        "structural", "methods/structural",
        ("a matrix on the stream", "if structure is None or isinstance(structure, Residual):\n            return error", "if structure is None or isinstance(structure, Residual):\n            return error.flip(-1)"),
        ("only the first map", "torch.cat(structure.adjoint(error), dim=-1)", "torch.cat([structure.adjoint(error)[0]] * structure.maps, dim=-1)"),
        ("the map left out", "torch.cat(structure.adjoint(error), dim=-1)", "torch.cat([error] * structure.maps, dim=-1)"),
        ("scale squared", "error = self.scale * error", "error = self.scale**2 * error"),
        ("pooled points do not share", "name if not feedback.startswith(\"shared\") else tap_name", "name"),
    ),
    *_of(
        "fa", "methods/fa",
        ("W in place of B", "        if not self.alignment:\n            return random", "        if not self.alignment:\n            return weight"),
        ("B of unit size", "bound = 3**0.5 * self.size(name)", "bound = 3**0.5"),
        ("B redrawn from one seed", "seeded_generator(self.feedback_seed, name)", "seeded_generator(0, name)"),
        ("aligned with today's weight", "initial: Tensor = self.initial[module_key(name)]", "initial: Tensor = weight"),
    ),
    *_of(
        "fa", "families/weight_transport",
        ("never replaced", "exchange.begin(used.readers)", "pass"),
        ("a miss is silent", "if missed := (used.in_all - self.replaced) | used.computed:", "if False:"),
    ),
    *_of(
        "fa", "families/exchange",
        ("replaced above the tap too", "if weight is None or self._readers is None:", "if weight is None:"),
        ("saved outputs keep their graph", "tensor if weight else tensor.detach()", "tensor"),
        ("a layer's input is replaced", "if node not in self._readers:\n            return False", "if node not in self._readers:\n            return True"),
        ("an initial state is replaced", "if self._stands_at(node, kept_arguments(node), packed):", "if False:"),
        ("any operation is trusted", "linear = is_product(node) if one is None else", "linear = True if one is None else"),
        ("a change in place is overlooked", "if packed.tensor._version != packed.version:", "if False:"),
    ),
    *_of(
        "fa", "families/used_weights",
        ("a sum of weights is overlooked", "if len(below) == len(slots):\n            return True", "if len(below) > 1:\n            return False"),
        ("a computed weight is overlooked", "self.used.computed.update(made.computed)", "pass"),
        ("an added weight counts", "_UNREAD = ADDING | JOINING", "_UNREAD = JOINING"),
        ("gathered weights are overlooked", "elif active and slot in self._rows:", "elif False:"),
        ("an embedding's rows are weights", "rows |= weights - self._tables", "rows |= weights"),
    ),
    *_of(
        "kolen_pollack", "families/recurrence",
        ("a recurrent weight is forgotten", "((1, active[0]), (2, several))", "((1, active[0]),)"),
        ("a layer of data is counted", "((1, active[0]), (2, several))", "((1, True), (2, several))"),
    ),
    *_of(
        "fa", "families/saved_weights",
        ("copies by autocast missed", "operation(node) != \"ToCopy\"", "operation(node) != \"\""),
        ("sparse tensors are looked into", "if tensor.layout is not torch.strided:", "if False:"),
    ),
    *_of(
        "fa", "families/frozen_weights",
        ("a frozen weight's casts are data", "return None if copy is None else copy.names", "return None"),
        ("frozen weights in a checkpoint", "if memory not in saved\n", "if memory in saved\n"),
    ),
    *_of(
        "sign_symmetry", "methods/sign_symmetry",
        ("signs dropped", "self._magnitude(name, weight) * weight.sign()", "self._magnitude(name, weight) * torch.ones_like(weight)"),
        ("signs of R kept", "return self.random_weight(name, weight).abs()", "return self.random_weight(name, weight)"),
        ("magnitudes transported", "self._magnitude(name, weight) * weight.sign()", "weight"),
        ("never redrawn", "self.noise.advance()", "pass"),
    ),
    *_of(
        "kolen_pollack", "methods/kolen_pollack",
        ("decay of the difference dropped", "getattr(self, self._keys[name]).mul_(1 - self.decay)", "pass"),
        ("decay of the weight dropped", "weight.mul_(1 - self.decay)", "pass"),
        ("B does not follow W", "return weight + difference", "return difference"),
        ("every weight decays", "if name in self.replaced and weight.requires_grad:", "if True:"),
    ),
    *_of(
        "dkp", "methods/dkp",
        ("sign flipped", "errors.T @ activations", "-errors.T @ activations"),
        ("averaged twice", "errors.T @ activations", "errors.T @ activations / len(errors)"),
        ("learns the error's covariance", "self.learn(point, errors.T @ activations)", "self.learn(point, errors.T @ activations.roll(1, 0))"),
    ),
    *_of(
        "dkp", "families/learned_feedback",
        ("learns while it is measured", "if self.learning:", "if True:"),
        ("not saved", "self.feedback[module_key(name)] = nn.Parameter(matrix.zero_() if initial == \"zero\" else matrix)", "self.feedback[module_key(name)] = nn.Parameter(matrix)"),
    ),
    *_of(
        "directional", "methods/directional",
        ("sign of the target flipped", "matrix - _outer_mean(change, direction)", "matrix + _outer_mean(change, direction)"),
        ("sum in place of mean", "mean: Tensor = left.T @ right / len(left)", "mean: Tensor = left.T @ right"),
        ("the inverse's gradient of another matrix", "change @ matrix - direction", "direction - change @ matrix"),
        ("the cosine's norm forgotten", "(cosine * matrix / size - target / length) / size", "cosine * matrix / size - target / length"),
        ("one noise for all steps", "def advance(self) -> None:\n        self.noise.advance()", "def advance(self) -> None:\n        pass"),
    ),
    *_of(
        "drtp", "methods/drtp",
        ("sign flipped", "return rows.reshape(activation.shape).to(activation.dtype)", "return -rows.reshape(activation.shape).to(activation.dtype)"),
        ("samples without label send", "labelled.unsqueeze(-1) / labelled.sum().clamp(min=1)", "1 / labelled.sum().clamp(min=1)"),
        ("sum in place of mean", "labelled.unsqueeze(-1) / labelled.sum().clamp(min=1)", "labelled.unsqueeze(-1)"),
        ("the error transported", "return rows.reshape(activation.shape).to(activation.dtype)", "return rows.reshape(activation.shape).to(activation.dtype) * error.norm()"),
    ),
    *_of(
        "local", "methods/local",
        ("no backward at the point", "torch.autograd.backward(activation, signal, retain_graph=True)", "pass"),
        ("decoders do not learn early", "self.context, learn=True)", "self.context, learn=False)"),
        ("trains on passes that no loss reads", "if (unread := self.recorder.finished - read) > 0:", "if False:"),
        ("hooks run once a segment", "                self.recorder.hooked.check(activation, object())", "                pass"),
        ("decoders' rate ignored", "return groups if self.decoder_lr is None else", "return groups if True else"),
    ),
    *_of(
        "local", "families/local_losses",
        ("signal from the mean alone", "return found[0]", "return found[0].mean() + 0 * found[0]"),
        ("similarity ignored early", "return (1 - self.similarity) * loss + self.similarity * alike", "return loss"),
        ("learns while it is measured", "        if learn:", "        if True:"),
    ),
    *_of(
        "forward_gradient", "methods/forward_gradient",
        ("sign flipped", "slope = _sum_by_group(one.error * change, self._groups(one.tap))", "slope = -_sum_by_group(one.error * change, self._groups(one.tap))"),
        ("wrong group summed", "return self.layout.taps[tap].independent_dims", "return 1"),
        ("one noise for all steps", "def advance(self) -> None:\n        self.noise.advance()", "def advance(self) -> None:\n        pass"),
        ("no slope", "_spread_over(slope, v) * v", "v"),
    ),
    *_of(
        "forward_gradient", "families/perturbation",
        ("not divided by epsilon", "/ epsilon for one in passes", "for one in passes"),
        ("perturbed twice as far", "return x + epsilon * directions[at]", "return x + 2 * epsilon * directions[at]"),
        ("half precision accepted", "if cast or x.dtype in (torch.bfloat16, torch.float16):", "if cast:"),
        ("autocast accepted", "cast = x.dtype != torch.float64 and torch.is_autocast_enabled(x.device.type)", "cast = False"),
        ("erased gradients are not missed", "    so_far.check()", "    pass"),
        ("a point more is not noticed", "if self._points_left.pop(self._visit(name), None) != x.shape:", "if False:"),
    ),
    *_of(
        "mezo", "methods/mezo",
        ("one-sided slope with the two-sided divisor", "with self._moved(parameters, -self.epsilon):", "with self._moved(parameters, 0 * self.epsilon):"),
        ("divided by epsilon once", "(2 * self.epsilon)", "self.epsilon"),
        ("weights not put back", "                p.copy_(before[name])", "                pass"),
        ("masks redrawn between the passes", "with rewind.again(), self._moved(parameters, self.epsilon):", "with self._moved(parameters, self.epsilon):"),
    ),
    *_of(
        "pepita", "methods/pepita",
        ("sign flipped", "(before[at] - h) / parts", "(h - before[at]) / parts"),
        ("error of the second pass", "two.error = one.error", "pass"),
        ("not divided by the samples", "(before[at] - h) / parts", "(before[at] - h)"),
        ("the loss's factor ignored", "return samples / self.context.supervision.scale", "return samples"),
        ("masks redrawn in the second pass", "with rewind.again(), self.recorder.changing(None):", "with self.recorder.changing(None):"),
        ("added in place of subtracted", "h - shifts[at]", "h + shifts[at]"),
    ),
    *_of(
        "predictive_coding", "methods/predictive_coding",
        ("sign flipped", "name: -errors[Visited", "name: errors[Visited"),
        ("decay of the errors dropped", "leaf.detach() + samples[at.tap, at.nth] * gradient", "samples[at.tap, at.nth] * gradient"),
        ("mean loss in place of the samples'", "samples[key] = count / self.context.supervision.scale", "samples[key] = torch.ones(())"),
        ("weights learn at feedforward states", "h + error if self.states == \"inferred\" else h", "h"),
    ),
    *_of(
        "all methods of several passes", "families/rewind",
        ("randomness not rewound", "        self._restore(self._before)\n        try:", "        try:"),
        ("randomness not put back", "            self._restore(now)", "            pass"),
    ),
    *_of(
        "all methods of several passes", "families/model_state",
        ("generators of modules draw on", "            generator.set_state(state)", "            pass"),
    ),
    *_of(
        "all methods of several passes", "families/replay",
        ("passes numbered as the loss reads them", "self.places[trace.tap, read[trace.tap]] = self._place_of[trace.number]", "self.places[trace.tap, read[trace.tap]] = (trace.tap, read[trace.tap])"),
    ),
    *_of(
        "all methods of several passes", "families/buffers",
        ("running statistics move with every pass", "                _stored(one.tensor.data).copy_(one.value)", "                pass"),
        ("buffers that were assigned stay", "            one.module._buffers[one.name] = one.tensor", "            pass"),
    ),
    *_of(
        "alignment", "measuring/cosines",
        ("rank of the sum", "moments.trace().square() / moments.square().sum()", "moments.trace() / moments.square().sum().sqrt()"),
        ("a vanished reference is not void", "void = not SMALLEST_REFERENCE <= reference < math.inf", "void = False"),
        ("reference of the mean loss", "reference = float(lengths.sum())", "reference = float(lengths.mean())"),
    ),
]  # fmt: skip
