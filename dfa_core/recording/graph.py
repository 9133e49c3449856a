"""The graph of a loss, above the error taps and below them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from dfa_core.errors import FeedbackError
from dfa_core.recording.recorder import Recorder
from dfa_core.recording.trace import Trace, traces_on

#: Where an error can be read, or a gradient put in: a tensor, or an edge into a compiled region.
Place = Tensor | GradientEdge


@dataclass(eq=False)
class ReachedTap:
    """A pass that a loss depends on.

    Attributes:
        trace: what is kept of the pass.
        edge: the edge of the graph where its error can be read.
        reads: the earlier passes whose taps' outputs this one read.
    """

    trace: Trace
    edge: GradientEdge
    reads: list[ReachedTap] = field(default_factory=list)

    @property
    def leaf(self) -> Tensor | None:
        """Where the gradient of a tap in eager mode ends; ``None`` if the tap closes a compiled region."""
        return None if self.trace.attached is None else _leaf(self.edge.node.next_functions[0][0])

    def nodes(self) -> set[Node]:
        """The nodes that gradients of the pass reach."""
        places = [self.edge.node] if self.trace.attached is None else [r.grad_fn for r in _attached(self.trace)]
        return _nodes_below(places)

    def place(self, root: Tensor | int) -> Place:
        """Where the signal of an activation enters; a number counts the outputs of the region that the tap closes.

        An edge, which does not keep the activation's memory, unless the activation is a leaf.
        """
        if not isinstance(root, Tensor):
            return GradientEdge(self.edge.node, root)
        return root if root.grad_fn is None else GradientEdge(root.grad_fn, root.output_nr)


@dataclass(eq=False)
class Above:
    """The part of a loss's graph that lies above the error taps.

    Attributes:
        taps: the passes that the loss depends on, directly or by way of a later pass, in the order they ran.
        leaves: the leaf tensors that the loss depends on past the taps, by identity.
        nodes: the nodes in between.
        around: whether the loss reads something else of a compiled region than its taps.
    """

    taps: list[ReachedTap] = field(default_factory=list)
    leaves: dict[int, Tensor] = field(default_factory=dict)
    nodes: set[Node] = field(default_factory=set)
    around: bool = False

    @classmethod
    def of(cls, loss: Tensor, recorder: Recorder) -> Above:
        """Look into the graph of ``loss``, down to the taps that ``recorder`` cut.

        Raises:
            FeedbackError: the loss depends on a pass that another method recorded, or that went backward before.
        """
        above = cls()
        entered: dict[Node, set[int]] = {}
        stack = [(loss.grad_fn, loss.output_nr)]
        while stack:
            node, number = stack.pop()
            if node is None:
                continue
            if traces_on(node):
                entered.setdefault(node, set()).add(number)
            elif node not in above.nodes:
                above.nodes.add(node)
                if (leaf := _leaf(node)) is not None:
                    above.leaves[id(leaf)] = leaf
                stack.extend(node.next_functions)
        for node, numbers in entered.items():
            above._add_taps(node, numbers, recorder)
        if recorder.has_several:
            above._add_read(recorder)
        above.taps.sort(key=lambda tap: tap.trace.number)
        return above

    def _add_taps(self, node: Node, numbers: set[int], recorder: Recorder) -> None:
        traces = traces_on(node)
        for trace in traces:
            if trace.recorder is not recorder:
                raise FeedbackError(
                    f"the loss depends on a pass through error tap '{trace.tap}' that was recorded for another "
                    "method: give each method the loss of its own model, and run a model that is only to hand a "
                    "gradient through (a discriminator, a critic) within its method's detached()"
                )
            self._add(trace, node)
        self.around |= bool(numbers - {trace.output_nr for trace in traces})

    def _add(self, trace: Trace, node: Node) -> ReachedTap:
        if trace.spent:
            raise FeedbackError(
                f"a pass through error tap '{trace.tap}' went backward before: add its losses up and go backward from "
                "their sum, once; detach() what is carried from one step to the next"
            )
        self.taps.append(ReachedTap(trace, GradientEdge(node, trace.output_nr)))
        return self.taps[-1]

    def _add_read(self, recorder: Recorder) -> None:
        """The passes whose taps' outputs others read, from the loss downwards."""
        known = {tap.trace: tap for tap in self.taps}
        for tap in self.taps:  # it grows
            if tap.trace.number == recorder.oldest:
                continue  # nothing ran before it
            for node in tap.nodes():
                for trace in traces_on(node):
                    if trace.recorder is recorder and node is not tap.edge.node:
                        if trace not in known:
                            known[trace] = self._add(trace, node)
                        tap.reads.append(known[trace])

    def spend(self) -> None:
        """Let go of the activations, which the graph still holds where it needs them: the passes go backward now."""
        for tap in self.taps:
            tap.trace.spent = True
            tap.trace.points.clear()

    @property
    def chained(self) -> bool:
        """Whether a pass reads what the tap of an earlier one returned."""
        return any(tap.reads for tap in self.taps)

    def check_apart(self, method: str) -> None:
        """Raise :class:`FeedbackError` if passes are chained: ``method`` makes the signals of all of them at once."""
        for tap in self.taps:
            if tap.reads:
                raise chained_error(tap.trace.tap, tap.reads[0].trace.tap, f"which {method} cannot put together")

    @property
    def compiled(self) -> bool:
        """Whether a tap closes a compiled region."""
        return any(tap.trace.attached is None for tap in self.taps)

    @property
    def hooked(self) -> bool:
        """Whether a leaf tensor above the taps has hooks of the user's; they must see its gradient once."""
        return any(leaf._backward_hooks for leaf in self.leaves.values())

    def meets_below(self) -> bool:
        """Whether the part below the taps must go backward together with the loss.

        It must if the loss reads an activation below a tap, or a tensor that a later pass reads too, so that both start
        in the same part of the graph; and
        if a parameter that is used on both sides must get its gradient at once: under DistributedDataParallel, and
        where it has hooks of the user's own.
        """
        if self.around:
            return True
        if not self.leaves and not self.chained:
            return False
        nodes, leaves = reached(place for tap in self.taps for place in _attached(tap.trace))
        shared = [leaf for key, leaf in self.leaves.items() if key in leaves]
        if shared and (any(tap.trace.reduced_by for tap in self.taps) or any(map(_is_watched, shared))):
            return True
        return not nodes.isdisjoint(node for node in self.nodes if _leaf(node) is None)


def chained_error(tap: str, read: str, reason: str) -> FeedbackError:
    """The error about a pass that may not read another's output."""
    return FeedbackError(
        f"a pass through error tap '{tap}' reads what error tap '{read}' returned, so that a part of the latter's "
        f"error comes back through it, {reason}: detach() what the tap returned before it is fed on"
    )


def _nodes_below(nodes: Iterable[Node | None]) -> set[Node]:
    """The nodes that :func:`reached` finds, in half of its time: every step of several passes asks."""
    stack = list(nodes)
    seen: set[Node] = set()
    while stack:
        node = stack.pop()
        if node is not None and node not in seen:
            seen.add(node)
            stack += [below for below, _ in node.next_functions]
    return seen


def reached(places: Iterable[Place]) -> tuple[set[Node], set[int]]:
    """The nodes that gradients reach from ``places``, and the leaf tensors by identity."""
    stack: list[Node | None] = []
    nodes: set[Node] = set()
    leaves: set[int] = set()
    for place in places:
        if isinstance(place, Tensor):
            stack.append(place.grad_fn)
            if place.is_leaf:
                leaves.add(id(place))
        else:
            stack.append(place.node)
    while stack:
        node = stack.pop()
        if node is None or node in nodes:
            continue
        nodes.add(node)
        if (leaf := _leaf(node)) is not None:
            leaves.add(id(leaf))
        stack.extend(below for below, _ in node.next_functions)
    return nodes, leaves


def _attached(trace: Trace) -> list[Tensor]:
    roots = [trace.attached, *(activation.root for activation in trace.points.values())]
    return [root for root in roots if isinstance(root, Tensor)]


def _is_watched(leaf: Tensor) -> bool:
    """Whether hooks run when the leaf gets its gradient."""
    return bool(leaf._backward_hooks or getattr(leaf, "_post_accumulate_grad_hooks", None))


def _leaf(node: Node | None) -> Tensor | None:
    """The tensor whose gradient ``node`` accumulates."""
    return getattr(node, "variable", None)
