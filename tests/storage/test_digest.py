from fcmae.storage.digest import digest, digest_of_names


def test_a_digest_does_not_depend_on_how_bytes_are_cut() -> None:
    assert digest([b"ab", b"", b"c"]) == digest(part for part in (b"a", b"bc"))
    assert len({digest(pieces) for pieces in ([], [b"a"], [b"a", b"b"], [b"b", b"a"])}) == 4


def test_digests_are_those_of_stored_runs_and_analyses() -> None:
    assert digest([b"a", b"b"]) == "3dc9ae220222e2e156b2a5abb60d01c7"
    assert digest_of_names(["a", "b"]) == (
        "7e18f737311b2dc3b2f269dd78396b0351f14fb66efa879f768cb23181883c78"
    )


def test_a_digest_tells_names_and_their_order_apart() -> None:
    lists = [[], ["a"], ["a", "b"], ["b", "a"], ["ab"], ["a", "b\udcff"]]
    assert len({digest_of_names(names) for names in lists}) == len(lists)
    assert digest_of_names(["a", "b"]) == digest_of_names(name for name in "ab")
