# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A headless Chromium, spoken to through its debugging pipe."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
from pathlib import Path

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
_PATIENCE = 60.0


def find_browser():
    """Path of an installed Chromium, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """One page in a browser of its own; a context manager.

    Args:
        program: Chromium's path.
        size: Width and height of the window in pixels.

    Attributes:
        addresses: What the page asked for, in order.
        messages: Errors and console output of the page.
    """

    def __init__(self, program, size=(1280, 800)):
        self.program, self.size = program, size
        # Short, since the path of a socket has at most 107 characters.
        self._folder = tempfile.TemporaryDirectory(
            prefix='browser', ignore_cleanup_errors=True)
        self.addresses, self.messages = [], []
        self._buffer, self._number, self._session = b'', 0, None
        self._held = 0

    def __enter__(self):
        # The browser reads commands from descriptor 3, answers on 4.
        commands, self._write = os.pipe()
        self._read, answers = os.pipe()
        commands, answers = (
            fcntl.fcntl(end, fcntl.F_DUPFD, 50) for end in (commands, answers))
        self._process = subprocess.Popen(
            ['bash', '-c', f'exec "$0" "$@" 3<&{commands} 4>&{answers}',
             self.program, '--headless', '--no-sandbox', '--disable-gpu',
             '--disable-dev-shm-usage', '--remote-debugging-pipe',
             '--no-first-run', '--disable-background-networking',
             '--disable-component-update', '--disable-sync',
             '--hide-scrollbars', '--force-color-profile=srgb',
             # Nothing outside this machine has a name.
             '--host-resolver-rules=MAP * ~NOTFOUND',
             f'--window-size={self.size[0]},{self.size[1]}',
             f'--user-data-dir={self._folder.name}', 'about:blank'],
            pass_fds=(commands, answers), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            # Not the user's settings, no message bus.
            env=dict(os.environ, HOME=self._folder.name,
                     TMPDIR=self._folder.name,
                     DBUS_SESSION_BUS_ADDRESS='disabled:'))
        os.close(commands)
        os.close(answers)
        targets = self.call('Target.getTargets')['targetInfos']
        page = next(t for t in targets if t['type'] == 'page')
        self._session = self.call(
            'Target.attachToTarget', targetId=page['targetId'],
            flatten=True)['sessionId']
        for part in ('Page', 'Network', 'Runtime', 'Log'):
            self.call(f'{part}.enable')
        self.call('Emulation.setDeviceMetricsOverride', width=self.size[0],
                  height=self.size[1], deviceScaleFactor=1, mobile=False)
        return self

    def __exit__(self, *_):
        try:
            self._session = None
            self.call('Browser.close')
            self._process.wait(10)
        except (OSError, RuntimeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
        self._folder.cleanup()

    def call(self, method, **parameters):
        """Send a command and return its result."""
        self._number += 1
        message = dict(id=self._number, method=method, params=parameters)
        if self._session:
            message['sessionId'] = self._session
        os.write(self._write, json.dumps(message).encode() + b'\0')
        while True:
            answer = self._receive()
            if answer.get('id') == self._number:
                if 'error' in answer:
                    raise RuntimeError(f'{method}: {answer["error"]}')
                return answer['result']

    def _receive(self):
        while b'\0' not in self._buffer:
            if not select.select([self._read], [], [], _PATIENCE)[0]:
                raise TimeoutError('the browser does not answer')
            part = os.read(self._read, 1 << 20)
            if not part:
                raise RuntimeError('the browser ended')
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b'\0')
        event = json.loads(message)
        parameters = event.get('params', {})
        if event.get('method') == 'Network.requestWillBeSent':
            self.addresses.append(parameters['request']['url'])
        elif event.get('method') == 'Runtime.exceptionThrown':
            self.messages.append(str(parameters['exceptionDetails']))
        elif event.get('method') == 'Log.entryAdded':
            self.messages.append(str(parameters['entry']))
        return event

    def run(self, script):
        """Value of a script in the page; promises are waited for."""
        answer = self.call('Runtime.evaluate', expression=script,
                           awaitPromise=True, returnByValue=True)
        if 'exceptionDetails' in answer:
            raise RuntimeError(str(answer['exceptionDetails']))
        return answer['result'].get('value')

    def open(self, path):
        """Open a file and wait until its script says that it is ready."""
        # Answered when the new document is there, perhaps still empty.
        self.call('Page.navigate', url=Path(path).resolve().as_uri())
        return self.run(
            'new Promise(done => { const look = () => {'
            'const root = document.documentElement;'
            'if (root && root.dataset.ready) done(root.dataset.ready);'
            'else setTimeout(look, 20); }; look(); })')

    def centre(self, selector):
        """Middle of an element, and its width, in window pixels."""
        box = self.run(
            f'(b => [b.x + b.width / 2, b.y + b.height / 2, b.width])('
            f'document.querySelector({selector!r}).getBoundingClientRect())')
        return tuple(box)

    def mouse(self, kind, x, y):
        """``mouseMoved``, ``mousePressed`` or ``mouseReleased``."""
        if kind != 'mouseMoved':
            self._held = int(kind == 'mousePressed')
        button = 'left' if self._held or kind != 'mouseMoved' else 'none'
        self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y,
                  button=button, buttons=self._held, clickCount=1)

    def click(self, x, y):
        for kind in ('mouseMoved', 'mousePressed', 'mouseReleased'):
            self.mouse(kind, x, y)

    def screenshot(self):
        """PNG of the window."""
        return base64.b64decode(
            self.call('Page.captureScreenshot', format='png')['data'])
