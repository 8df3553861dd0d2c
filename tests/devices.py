"""Several devices, so a process of its own: a module of functions, and which of them it runs."""

import os
import subprocess
import sys


def on_devices(count, module, *arguments):
    command = [sys.executable, "-m", f"tests.{module}", *arguments]
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
    env = {**os.environ, "XLA_FLAGS": flags}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-4000:]
