"""First bus action after any boot: every switch off, before anything else can fail.

The outputs of the expanders keep their state while the controller resets. This file needs nothing
but `machine`: not lib/, not a valid config.json.
"""


def free_and_open():
    """Free the bus, then write 0 to both latches of every expander that answers."""
    import json
    import time

    from machine import I2C, Pin

    sda, scl = 32, 33
    try:
        with open("config.json") as file:
            pins = json.load(file).get("pins", {})
        sda = int(pins.get("i2c_sda", sda))
        scl = int(pins.get("i2c_scl", scl))
    except Exception as error:
        print("boot: config.json:", error)
    data = Pin(sda, Pin.OPEN_DRAIN, value=1)
    clock = Pin(scl, Pin.OPEN_DRAIN, value=1)
    for _ in range(9):
        if data.value():
            break
        clock.value(0)
        time.sleep_us(5)
        clock.value(1)
        time.sleep_us(5)
    data.value(0)
    time.sleep_us(5)
    data.value(1)
    time.sleep_us(5)
    i2c = I2C(0, sda=Pin(sda), scl=Pin(scl), freq=100000, timeout=10000)
    for address in (0x20, 0x21, 0x22, 0x23):
        # A write that was disturbed on its way may have closed what it should open.
        for _ in range(3):
            try:
                i2c.writeto(address, b"\x02\x00\x00")
                if i2c.readfrom_mem(address, 0x02, 2) == b"\x00\x00":
                    break
            except OSError:
                continue


free_and_open()
