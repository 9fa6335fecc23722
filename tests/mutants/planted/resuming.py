"""What can go wrong in a resumed run without any error."""

from mutants.mistake import Mistake

HERE = "tests/wiring/test_resume.py::"
GOES_ON = f"{HERE}test_a_run_that_ends_after_a_checkpoint_goes_on_to_the_bit"
AGAIN = f"{HERE}test_steps_beyond_the_checkpoint_are_computed_again_and_their_lines_forgotten"
ASKED = f"{HERE}test_a_run_that_was_asked_to_stop_in_mid_epoch_goes_on_to_the_bit"
KILLED = f"{HERE}test_a_process_that_is_killed_goes_on_to_the_bit"
UNREAD = f"{HERE}test_files_that_could_not_be_read_are_not_forgotten"
RUNNING = f"{HERE}test_running_statistics_go_on_too"
KEYS = f"{HERE}test_keys_follow_as_by_hand_over_a_resume"
PATIENCE = f"{HERE}test_the_best_epoch_stays_the_best_and_patience_counts_from_it"
KEPT = f"{HERE}test_what_is_kept_is_of_the_best_epoch_and_of_the_last"
DIES = f"{HERE}test_a_run_that_dies_after_its_best_epoch_ends_as_if_it_had_not"
STOPPED = f"{HERE}test_a_run_that_stopped_early_is_left_as_it_is"

MEAN_LOSS = f"{HERE}test_lines_have_the_mean_loss_of_their_steps"
BATCHING_TESTS = "tests/training/test_batching.py"
FOLDER_TESTS = "tests/training/test_run_folder.py"

PROCESS, CHECKPOINT, JOURNAL = (
    "training/trainer.py",
    "training/checkpoint.py",
    "training/journal.py",
)
TASK, CONTRASTIVE = "finetuning/task.py", "pretraining/contrastive.py"

SUMS = 'self.window, self.period = Window(*found.state["window"]), Window(*found.state["epoch"])'
COUNTS = 'self.step, self.stopped = found.state["step"], found.state["stopped"]'
COUNTED = 'self.task.state[name] = found.state["task"][name]'
PATIENT = 'number - self.state["best"][self.period] < self.patience'
VALIDATION = "training/validation.py"
MOMENTS = "key.removeprefix(prefix): value\n"
READ = '\n        if (place / "state.json").exists():\n            return Checkpoint('

MISTAKES = (
    # training/trainer.py
    Mistake(
        PROCESS,
        SUMS,
        'self.window = Window(*found.state["window"])',
        "The epoch's summed loss is not restored.",
        (f"{GOES_ON}[fcmae-5]",),
    ),
    Mistake(
        PROCESS,
        SUMS,
        'self.period = Window(*found.state["epoch"])',
        "The loss since the last line is not restored.",
        (f"{GOES_ON}[fcmae-5]",),
    ),
    Mistake(
        PROCESS,
        '"epoch": self.period.state(),',
        '"epoch": (0.0, 0),',
        "A checkpoint has an epoch's summed loss of 0.",
        (f"{GOES_ON}[fcmae-5]",),
    ),
    Mistake(
        PROCESS,
        '"window": self.window.state(),',
        '"window": (0.0, 0),',
        "A checkpoint has no loss since the last line.",
        (f"{GOES_ON}[fcmae-5]",),
    ),
    Mistake(
        PROCESS,
        COUNTS,
        'self.step, self.stopped = found.state["step"] + 1, found.state["stopped"]',
        "A resumed run leaves a step out.",
        (f"{GOES_ON}[fcmae-2]",),
    ),
    Mistake(
        PROCESS,
        COUNTS,
        'self.step = found.state["step"]',
        "A run that stopped early goes on when it is resumed.",
        (f"{DIES}[has-stopped]", STOPPED),
    ),
    Mistake(
        PROCESS,
        'self.unreadables.restore(found.state["unreadable"])',
        "pass",
        "A resumed run forgets the files that could not be read.",
        (UNREAD,),
    ),
    Mistake(
        PROCESS,
        COUNTED,
        "pass",
        "What a task counts is not restored.",
        (f"{DIES}[knows-the-best]",),
    ),
    Mistake(
        PROCESS,
        "with Journal(self.out, resumed_at) if",
        "with Journal(self.out, self.plan.steps) if",
        "Lines beyond the checkpoint stay, and are written again.",
        (f"{AGAIN}[fcmae-four-steps-again]",),
    ),
    Mistake(
        PROCESS,
        "return self.step\n\n    def save",
        "return -1\n\n    def save",
        "A resumed run forgets the lines before its checkpoint and begins the journal again.",
        (f"{GOES_ON}[fcmae-5]",),
    ),
    Mistake(
        PROCESS,
        "if resumed_at < 0:",
        "if not self.resumed:",
        "A run resumed before its first checkpoint is not looked at untrained.",
        (f"{AGAIN}[fcmae-begins-again]",),
    ),
    Mistake(
        PROCESS,
        "learning_rate=self.plan.learning_rate_at,",
        "learning_rate=lambda step, first=self.step: self.plan.learning_rate_at(step - first),",
        "The schedule begins anew at a resume.",
        (f"{GOES_ON}[moco-v3-2]",),
    ),
    Mistake(
        PROCESS,
        "measured = Measured()\n",
        "self.save()\n        measured = Measured()\n",
        "A checkpoint counts an epoch's last step before the epoch's end is seen to.",
        (f"{GOES_ON}[fcmae-3]",),
    ),
    Mistake(
        PROCESS,
        "            self.share_unreadables()\n            self.save()",
        "            self.share_unreadables()",
        "A run that is asked to stop saves nothing.",
        (f"{ASKED}[fcmae]",),
    ),
    Mistake(
        PROCESS,
        '"epoch": step.number / self.plan.steps_per_epoch,',
        '"epoch": step.number // self.plan.steps_per_epoch,',
        "Lines of steps say whole epochs.",
        (f"{MEAN_LOSS}[fcmae]",),
    ),
    Mistake(
        PROCESS,
        "self.task.save_weights(self.step)",
        "self.task.save_weights(self.plan.steps)",
        "Weights of a run under way say that they are of the last step.",
        (f"{GOES_ON}[fcmae-2]",),
    ),
    Mistake(
        PROCESS,
        "self.started = self.saved - journal.seconds",
        "self.started = self.saved",
        "A resumed run forgets how long it took before.",
        (f"{ASKED}[fcmae]",),
    ),
    # the rest of training
    Mistake(
        "training/batching.py",
        "seconds_between_checkpoints=60 * minutes",
        "seconds_between_checkpoints=minutes",
        "Minutes between checkpoints are taken for seconds.",
        (BATCHING_TESTS,),
    ),
    Mistake(
        "training/batching.py",
        "micro_batch_size=local if whole_batches else min(micro or 64, local),",
        "micro_batch_size=min(micro or 64, local),",
        "MoCo v3 compares 64 images at most, whatever the batch.",
        (BATCHING_TESTS,),
    ),
    Mistake(
        "training/run_folder.py",
        'ended = found["stopped"] or found["step"]',
        'ended = found["step"]',
        "A run that stopped early never counts as finished.",
        (f"{FOLDER_TESTS}::test_a_run_is_finished_once_its_last_weights_are_written",),
    ),
    Mistake(
        PROCESS,
        "batching, interrupt, resumed=resumed)",
        "batching, interrupt, resumed=False)",
        "A resumed run begins again.",
        (f"{GOES_ON}[fcmae-2]",),
    ),
    # training/checkpoint.py
    Mistake(
        CHECKPOINT,
        "optimizer.state[parameter] = state",
        "optimizer.state[parameter] = {}",
        "The optimiser's state is not restored.",
        (f"{GOES_ON}[fcmae-2]",),
    ),
    Mistake(
        CHECKPOINT,
        MOMENTS,
        'key.removeprefix(prefix): value * (not key.endswith("/step"))\n',
        "The optimiser counts its steps from the resume.",
        (f"{GOES_ON}[fcmae-2]",),
    ),
    Mistake(
        CHECKPOINT,
        MOMENTS,
        'key.removeprefix(prefix): value * (not key.endswith("/exp_avg_sq"))\n',
        "The optimiser's second moments begin anew at a resume.",
        (f"{GOES_ON}[fcmae-2]",),
    ),
    Mistake(
        CHECKPOINT,
        f"for place in (folder / LAST, folder / PREVIOUS):{READ}",
        f"for place in (folder / LAST,):{READ}",
        "A run that was killed between two renames begins again.",
        (f"{KILLED}[finetune]",),
    ),
    Mistake(
        CHECKPOINT,
        "    shutil.rmtree(unfinished, ignore_errors=True)\n    unfinished.mkdir",
        "    unfinished.mkdir",
        "Half a checkpoint is in the way of the next.",
        (f"{KILLED}[fcmae]",),
    ),
    # training/journal.py
    Mistake(
        JOURNAL,
        "if _step(line) <= after",
        "if _step(line) < after",
        "A resumed run forgets the lines of its checkpoint's own step.",
        (f"{GOES_ON}[fcmae-3]",),
    ),
    Mistake(
        JOURNAL,
        "if _step(line) <= after",
        "if _step(line) <= after + 1",
        "A line of the step after the checkpoint is there twice.",
        (f"{AGAIN}[fcmae-ends-an-epoch-again]",),
    ),
    Mistake(
        JOURNAL,
        "for name in (METRICS, TIMING):",
        "for name in (TIMING,):",
        "Metrics beyond the checkpoint stay, and are written again.",
        (f"{AGAIN}[fcmae-four-steps-again]",),
    ),
    Mistake(
        JOURNAL,
        'self._metrics = (run / METRICS).open("a", buffering=1)',
        'self._metrics = (run / METRICS).open("a")',
        "A killed run loses lines of before its checkpoint.",
        (f"{KILLED}[moco-v3]",),
    ),
    # training/engine.py, optim/average.py
    Mistake(
        "training/engine.py",
        'group["lr"] = learning_rate(step) *',
        'group["lr"] = learning_rate(step - start) *',
        "The rate that is used begins anew at a resume; the one that is logged does not.",
        (f"{GOES_ON}[moco-v3-2]",),
    ),
    Mistake(
        "training/engine.py",
        "undo.callback(_restore, buffers, [buffer.clone() for buffer in buffers])",
        "pass",
        "A step that is cut short moves the running statistics.",
        (RUNNING,),
    ),
    Mistake(
        "optim/average.py",
        "(1 + update) / (10 + update)",
        "(1 + update) / (9 + update)",
        "The average's warm-up is another.",
        (f"{DIES}[knows-the-best]",),
    ),
    # finetuning/task.py
    Mistake(
        PROCESS,
        '"task": self.task.state,',
        '"task": {**self.task.state, "best": None},',
        "The best epoch is not in the checkpoint.",
        (f"{DIES}[knows-the-best]",),
    ),
    Mistake(
        PROCESS,
        COUNTED,
        "self.task.state[name] = None",
        "A resumed run forgets the best epoch.",
        (f"{DIES}[knows-the-best]",),
    ),
    Mistake(
        PROCESS,
        COUNTED,
        'best = found.state["task"][name]\n'
        "                now = self.step // self.plan.steps_per_epoch\n"
        '                self.task.state[name] = best and {**best, "epoch": now}',
        "Patience counts from the resume.",
        (f"{DIES}[stops-again]",),
    ),
    Mistake(
        VALIDATION,
        PATIENT,
        'number - self.state["best"][self.period] <= self.patience',
        "Patience is an epoch longer.",
        (f"{PATIENCE}[True]",),
    ),
    Mistake(
        VALIDATION,
        PATIENT,
        "number < self.patience",
        "Patience counts from the first epoch.",
        (f"{PATIENCE}[True]",),
    ),
    Mistake(
        VALIDATION,
        "metrics.score > best[",
        "metrics.score >= best[",
        "A later epoch of the same accuracy takes the best one's place.",
        (f"{PATIENCE}[True]",),
    ),
    Mistake(
        TASK,
        "deciding = measured[-1]",
        "deciding = measured[0]",
        "The best epoch is the model's, where the average is kept.",
        (f"{PATIENCE}[True]",),
    ),
    Mistake(
        TASK,
        "validations[-1].summary()",
        "validations[0].summary()",
        "The best epoch is described by the model, where the average is kept.",
        (f"{PATIENCE}[True]",),
    ),
    Mistake(
        TASK,
        'self.write_weights("best.safetensors", step)',
        'atomic.save_tensors(self.out / "best.safetensors", self.trained.state_dict())',
        "The best weights are the model's, where there is an average.",
        (f"{KEPT}[True]",),
    ),
    Mistake(
        TASK,
        "model = self.average.module if self.average else self.trained",
        "model = self.trained",
        "All weights are the model's, where there is an average.",
        (f"{KEPT}[True]",),
    ),
    Mistake(
        TASK,
        'self.kept["average"] = self.average.module',
        "pass",
        "The average is not in the checkpoint.",
        (f"{GOES_ON}[finetune-2]",),
    ),
    Mistake(
        TASK,
        "self.average.update(self.trained, step)",
        'self.updates = getattr(self, "updates", 0) + 1\n'
        "        self.average.update(self.trained, self.updates)",
        "The average's warm-up begins anew at a resume.",
        (f"{DIES}[knows-the-best]",),
    ),
    Mistake(
        TASK,
        "self.average.update(self.trained, step)",
        "self.average.update(self.trained, step - 1)",
        "The average's updates are counted from 0.",
        (f"{DIES}[knows-the-best]",),
    ),
    Mistake(
        TASK,
        "torch.rand(shape, generator=generator)",
        "torch.rand(shape)",
        "Drop path depends on what the process has drawn before.",
        (f"{GOES_ON}[finetune-2]",),
    ),
    # pretraining
    Mistake(
        "pretraining/masked.py",
        "random_mask(plan.batch_size, grid, plan.mask_ratio, generator)",
        "random_mask(plan.batch_size, grid, plan.mask_ratio, torch.default_generator)",
        "Masks depend on what the process has drawn before.",
        (f"{GOES_ON}[fcmae-2]",),
    ),
    Mistake(
        CONTRASTIVE,
        "momentum_at(step, base=base",
        "momentum_at(step - 1, base=base",
        "Keys follow by the momentum of the step before.",
        (KEYS,),
    ),
    Mistake(
        PROCESS,
        "for name in self.task.state:",
        'getattr(self.task.trained, "follow", float)(0.0)\n'
        "            for name in self.task.state:",
        "Keys are the queries after a resume.",
        (f"{GOES_ON}[moco-v3-2]",),
    ),
)
