"""A kill that never came is told."""

from services.demo.compose_product import ComposeProduct


def test_a_kill_that_never_came_is_told() -> None:
    assert ComposeProduct(kill="kafka").missed() == ["never killed: kafka"]
    assert ComposeProduct().missed() == []
