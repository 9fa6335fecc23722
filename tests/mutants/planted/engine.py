"""What can go wrong in the training loop and its schedules without any error."""

from mutants.mistake import Mistake

BY_HAND = ("tests/wiring/test_by_hand.py",)
ENGINE, BATCHING = "training/engine.py", "training/batching.py"

MISTAKES = (
    Mistake(
        file="optim/schedule.py",
        words="return peak * step / warmup_steps",
        replacement="return peak * (step + 1) / warmup_steps",
        meaning="Warm-up is one step ahead.",
        tests=("tests/optim/test_schedule.py",),
    ),
    Mistake(
        ENGINE,
        "share = len(batch.indices) / local_batch_size",
        "share = 1 / -(-local_batch_size // len(batch.indices))",
        "A smaller micro-batch counts as much as the others.",
        BY_HAND,
    ),
    Mistake(
        ENGINE,
        'learning_rate(step) * group.get("scale", 1.0)',
        "learning_rate(step)",
        "The layers' scales are ignored.",
        BY_HAND,
    ),
    Mistake(
        ENGINE,
        'group["lr"] = learning_rate(step) * ',
        'group["lr"] = learning_rate(step + 1) * ',
        "Each step has the rate of the next.",
        BY_HAND,
    ),
    Mistake(
        ENGINE,
        "        optimizer.zero_grad(set_to_none=True)\n",
        "        if step == start:\n            optimizer.zero_grad(set_to_none=True)\n",
        "Gradients of all steps are summed.",
        BY_HAND,
    ),
    Mistake(
        ENGINE,
        "total[0] += loss.detach()",
        "total[0] = loss.detach()",
        "The loss is that of the last micro-batch.",
        BY_HAND,
    ),
    Mistake(
        ENGINE,
        "    module.train()\n",
        "    module.eval()\n",
        "The model trains in evaluation mode.",
        BY_HAND,
    ),
    Mistake(
        "optim/groups.py",
        "betas=momentum, fused",
        "betas=momentum, eps=1e-4, fused",
        "The optimiser's small number is larger.",
        BY_HAND,
    ),
    Mistake(
        BATCHING,
        "Order(len(task.images), plan.batch_size, plan.seed),",
        "Order(len(task.images), plan.batch_size, 0),",
        "Every seed has the same order of images.",
        BY_HAND,
    ),
    Mistake(
        BATCHING,
        "        seed=plan.seed,\n",
        "        seed=0,\n",
        "Every seed has the same views.",
        BY_HAND,
    ),
)
