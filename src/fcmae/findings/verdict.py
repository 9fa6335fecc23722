"""What a statement of the paper comes to here: one of three, in studies and analyses alike."""

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
UNDECIDED = "not decidable at this scale"
