from collections import Counter

from lumiere.emoji.data.heldout import held_out_of_motion, held_out_prompts
from lumiere.emoji.data.scenes import COLOURS, MOTIONS, held_out_combinations

LABELS = {f"{n:x}": f"thing {n}" for n in range(734)}


def test_prompts_are_held_out_balanced_and_of_different_objects() -> None:
    prompts = held_out_prompts(LABELS)
    single, pairs = prompts[:270], prompts[270:]
    assert all(held_out_combinations(p.scene) == p.held_out != [] for p in prompts)
    assert len({p.prompt for p in prompts}) == len(prompts) == 300
    for first in (0, 90, 180):
        cells = Counter((p.scene.motion, p.scene.background.colours[0]) for p in single[first : first + 90])
        assert cells == {(motion, colour): 1 for motion in MOTIONS for colour in COLOURS}
    assert len({p.scene.objects for p in single}) == 270
    assert all("pair" in p.held_out and len(p.scene.objects) == 2 for p in pairs)
    assert {p.scene.motion for p in pairs} == set(MOTIONS)


def test_prompts_say_the_scene() -> None:
    (prompt,) = [p for p in held_out_prompts(LABELS)[:90] if p.scene.motion == "spin"][:1]
    assert prompt.prompt == (
        f"a {LABELS[prompt.scene.objects[0]]} spinning on a {prompt.scene.background.colours[0]} background"
    )


def test_prompts_do_not_change() -> None:
    assert held_out_prompts(LABELS) == held_out_prompts(dict(reversed(LABELS.items())))


def test_more_pairs_leave_the_prompts_as_they_are() -> None:
    more = held_out_prompts(LABELS, pairs=70)
    assert len(more) == 340 and more[:300] == held_out_prompts(LABELS)
    assert all("pair" in prompt.held_out for prompt in more[270:])


def test_few_objects_give_few_prompts() -> None:
    assert len(held_out_prompts({"1": "one", "2": "two"})) < 270


def test_prompts_of_one_motion_are_held_out_and_objects_take_turns() -> None:
    prompts = held_out_of_motion(LABELS, "bounce")
    assert len({each.prompt for each in prompts}) == len(prompts) > 0
    assert all(each.scene.motion == "bounce" and each.held_out for each in prompts)
    objects = [each.scene.objects[0] for each in prompts]
    assert len(set(objects[: len(set(objects))])) == len(set(objects))
    assert prompts == held_out_of_motion(LABELS, "bounce")
