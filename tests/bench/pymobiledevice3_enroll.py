"""Pairs, lists, installs and reads back on every attached device, all at once, with
pymobiledevice3: what a bench script does today, for comparison with `enlist enroll --all`.
Prints one JSON line per device. Usage: pymobiledevice3_enroll.py SOCKET PROFILE"""

import asyncio
import inspect
import json
import plistlib
import sys
from pathlib import Path

from pymobiledevice3.lockdown import create_using_usbmux
from pymobiledevice3.services.mobile_config import MobileConfigService
from pymobiledevice3.usbmux import list_devices


async def settled(value):
    """Some releases answer at once, others with an awaitable."""
    return await value if inspect.isawaitable(value) else value


async def enroll(socket, serial, payload, wanted):
    lockdown = await settled(create_using_usbmux(serial=serial, autopair=True, usbmux_address=socket))
    service = MobileConfigService(lockdown)
    await settled(service.get_profile_list())
    await settled(service.install_profile(payload))
    listed = await settled(service.get_profile_list())
    metadata = listed.get("ProfileMetadata", {}).get(wanted["PayloadIdentifier"], {})
    good = metadata.get("PayloadUUID") == wanted["PayloadUUID"]
    print(json.dumps({"udid": serial, "outcome": "enrolled" if good else "failed"}, separators=(",", ":")))


async def main():
    socket, path = sys.argv[1], Path(sys.argv[2])
    payload = path.read_bytes()
    wanted = plistlib.loads(payload)
    devices = await settled(list_devices(usbmux_address=socket))
    await asyncio.gather(*(enroll(socket, d.serial, payload, wanted) for d in devices))


asyncio.run(main())
