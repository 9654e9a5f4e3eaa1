"""The program under test as a process: run to its end, or started, watched, killed.

Every process that a test starts is ended with the test, by its pid. Nothing sleeps: `wait_until`
polls a condition and fails with a sentence when the deadline passes."""
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LEAT", ROOT / "build" / "leat")).resolve()


def wait_until(condition, what, seconds=30.0, every=0.02):
    """The condition's first true value; the test fails when the deadline passes."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        pause.wait(every)


class Ended:
    """What a process left: status (negative: the signal), out and err as bytes."""

    def __init__(self, status, out, err):
        self.status, self.raw_out, self.raw_err = status, out, err

    @property
    def out(self):
        return self.raw_out.decode()

    @property
    def err(self):
        return self.raw_err.decode(errors="replace")

    def rows(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def __repr__(self):
        return f"exit {self.status}\n--- stdout\n{self.raw_out[-3000:].decode(errors='replace')}" \
               f"\n--- stderr\n{self.raw_err[-3000:].decode(errors='replace')}"


class Running:
    """A started process; its standard output and error are files in the test's folder."""

    def __init__(self, arguments, folder, environment, number, stdin=None):
        self.out_path = folder / f".stdout-{number}"
        self.err_path = folder / f".stderr-{number}"
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(
                [str(a) for a in arguments], cwd=folder, env=environment,
                stdin=subprocess.DEVNULL if stdin is None else stdin, stdout=out, stderr=err)

    @property
    def pid(self):
        return self.process.pid

    @property
    def err(self):
        return self.err_path.read_text(errors="replace")

    def alive(self):
        return self.process.poll() is None

    def wait(self, seconds=60):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {seconds} s: {self.process.args}\n"
                                 f"{self.err[-3000:]}") from None
        return Ended(self.process.returncode, self.out_path.read_bytes(),
                     self.err_path.read_bytes())

    def wait_until(self, condition, what, seconds=30.0):
        """As `wait_until`, failing at once when the process ends before the condition holds."""
        def holds():
            ended = not self.alive()
            value = condition()
            if not value and ended:
                raise AssertionError(f"ended with {self.process.returncode} before: {what}\n"
                                     f"{self.err[-3000:]}")
            return value
        return wait_until(holds, what, seconds)

    def kill(self):
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self, seconds=30):
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)


class Leat:
    """The binary bound to a folder; one for each test."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.started = []

    def environment(self, extra):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LEAT_")}
        environment.update(TZ="UTC", LC_ALL="C.UTF-8", NO_COLOR="1")
        environment.update({k: str(v) for k, v in (extra or {}).items()})
        return environment

    def run(self, *arguments, stdin=b"", env=None, seconds=60, binary=BINARY):
        if isinstance(stdin, str):
            stdin = stdin.encode()
        try:
            done = subprocess.run([str(binary), *map(str, arguments)], cwd=self.folder,
                                  env=self.environment(env), input=stdin, capture_output=True,
                                  timeout=seconds)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"still running after {seconds} s: leat {arguments}\n"
                                 f"{(late.stderr or b'')[-3000:].decode(errors='replace')}") from None
        return Ended(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments, **options):
        ended = self.run(*arguments, **options)
        assert ended.status == 0, ended
        return ended

    def start(self, *arguments, env=None, stdin=None):
        running = Running([BINARY, *arguments], self.folder, self.environment(env),
                          len(self.started), stdin)
        self.started.append(running)
        return running

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in content))
        return path

    def read(self, name):
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    def end_all(self):
        for running in self.started:
            running.kill()
