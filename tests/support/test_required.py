"""The plugin that keeps a run honest about what it left out, tried on small runs of its own."""

import pytest


@pytest.fixture
def small_run(pytester: pytest.Pytester, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyprojecttoml(f"""
        [tool.pytest]
        pythonpath = ["{pytestconfig.rootpath}"]
        addopts = ["-p", "tests.support.required"]
        markers = ["kafka", "browser"]
    """)
    return pytester


@pytest.fixture
def run_where_nothing_is_installed(small_run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.delenv("CI", raising=False)
    small_run.makepyfile("""
        import pytest

        @pytest.mark.kafka
        def test_with_a_broker(): raise AssertionError("never reached")

        @pytest.mark.browser
        def test_with_a_browser(): raise AssertionError("never reached")

        @pytest.mark.xfail(reason="known")
        def test_that_is_known_to_fail(): raise AssertionError

        def test_with_nothing(): pass
    """)
    return small_run


def test_what_the_machine_lacks_is_skipped_and_counted(run_where_nothing_is_installed: pytest.Pytester) -> None:
    result = run_where_nothing_is_installed.runpytest_subprocess()
    result.assert_outcomes(passed=1, skipped=2, xfailed=1)
    result.stdout.fnmatch_lines(["*NOT TESTED: 2 tests were left out (1 for want of Chromium, 1 for want of Docker)*"])


def test_the_count_is_whole_with_several_workers(run_where_nothing_is_installed: pytest.Pytester) -> None:
    result = run_where_nothing_is_installed.runpytest_subprocess("-p", "xdist", "-n", "2")
    result.stdout.fnmatch_lines(["*NOT TESTED: 2 tests were left out (1 for want of Chromium, 1 for want of Docker)*"])


def test_what_the_machine_lacks_fails_under_ci(run_where_nothing_is_installed: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    result = run_where_nothing_is_installed.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=2, xfailed=1)
    result.stdout.fnmatch_lines(["*nothing may be skipped under CI=true*Docker is not there*"])


def test_a_file_that_skips_itself_fails_under_ci(small_run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    small_run.makepyfile("import pytest\npytest.skip('not today', allow_module_level=True)")
    result = small_run.runpytest_subprocess()
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*nothing may be skipped under CI=true*not today*"])
