import json
from pathlib import Path

import pytest

from fcmae.studies.scale import SMALL
from fcmae.studies.setting import refuse_others


def test_no_option_of_a_scale_may_be_another(tmp_path: Path) -> None:
    model = "convnextv2_atto"
    for options in (
        SMALL.pretraining(model, response="layer"),
        SMALL.contrastive(model),
        SMALL.finetuning(),
        SMALL.supervised(model),
    ):
        (tmp_path / "config.json").write_text(json.dumps({"options": options}))
        refuse_others(tmp_path, options)
        for name in options:
            with pytest.raises(ValueError, match=f"  {name}: the run has .*, now 'another'"):
                refuse_others(tmp_path, options | {name: "another"})
