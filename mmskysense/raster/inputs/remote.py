# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Rasters and catalogues on servers, and how long to wait for them."""

from __future__ import annotations

import os
import urllib.error
import urllib.request

from ..band_contract import RasterContractError

#: Seconds without a byte after which a server counts as gone (ours).
DEFAULT_TIMEOUT = 30.0
# A catalogue page is a few megabytes; more is not one (ours).
_MAX_JSON_BYTES = 256 * 2**20
_CLOUD = {
    'http://': '/vsicurl/http://',
    'https://': '/vsicurl/https://',
    's3://': '/vsis3/',
    'gs://': '/vsigs/',
}


def gdal_path(address: str) -> str:
    """An address as GDAL reads it: ``/vsicurl/https://...``, ``/vsis3/...``.

    Local paths and GDAL's own virtual paths stay as they are.

    Raises:
        ValueError: A scheme that GDAL has no reader for.
    """
    for scheme, prefix in _CLOUD.items():
        if address.lower().startswith(scheme):
            return prefix + address[len(scheme):]
    if address.startswith('file://'):
        return urllib.request.url2pathname(address[len('file://'):])
    if '://' in address and not address.startswith('/vsi'):
        raise ValueError(f'{address}: expected a local path or an address '
                         f'that starts with {", ".join(_CLOUD)}')
    return address


def limit_waiting(timeout: float = DEFAULT_TIMEOUT, retries: int = 1) -> None:
    """Make GDAL give up on a server that stops answering.

    Sets GDAL's options in the environment, where every thread and worker
    process of this run sees them; options that the user set there win.

    Args:
        timeout: Seconds without a byte, and for the connection. A slow
            server that keeps sending is waited for.
        retries: Further tries of a request that failed in a way that may
            pass, one second apart.

    Raises:
        ValueError: Not a positive time.
    """
    if not timeout >= 1:
        raise ValueError(f'timeout={timeout:g}: expected at least 1 second')
    seconds = str(round(timeout))
    for name, value in {
            'GDAL_HTTP_CONNECTTIMEOUT': seconds,
            'GDAL_HTTP_LOW_SPEED_TIME': seconds,
            'GDAL_HTTP_LOW_SPEED_LIMIT': '1',
            'GDAL_HTTP_MAX_RETRY': str(retries),
            'GDAL_HTTP_RETRY_DELAY': '1',
    }.items():
        os.environ.setdefault(name, value)


def read_bytes(address: str, timeout: float = DEFAULT_TIMEOUT) -> bytes:
    """Fetch a small file over HTTP.

    Args:
        address: ``http://`` or ``https://``.
        timeout: Seconds without a byte before giving up.

    Raises:
        RasterContractError: No answer, an error, or more than 256 MiB.
    """
    request = urllib.request.Request(
        address, headers={'Accept': 'application/geo+json, application/json'})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            content = answer.read(_MAX_JSON_BYTES + 1)
    except (OSError, urllib.error.URLError) as error:
        # URLError hides the cause in .reason; a stalled read is TimeoutError.
        cause = getattr(error, 'reason', None) or error
        raise RasterContractError(
            f'{address}: expected an answer within {timeout:g} seconds, found '
            f'{_plain(cause, error)}; check the address and the network'
        ) from error
    if len(content) > _MAX_JSON_BYTES:
        raise RasterContractError(
            f'{address}: expected a catalogue entry, found more than '
            f'{_MAX_JSON_BYTES >> 20} MiB; give one item')
    return content


def _plain(cause: object, error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f'status {error.code} ({error.reason})'
    if isinstance(cause, TimeoutError):
        return 'none (timed out)'
    return str(cause)
