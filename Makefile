# What a developer types. `make test` is everything; the other targets are its parts.
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 3s

# One static binary that can be built again byte by byte: no C, no paths of this machine, no build id.
RELEASE := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -buildid= -X main.version=$(VERSION)'

.PHONY: build test test-unit test-race test-real lint fuzz bench bench-waf docs clean

build: ## bin/doorward
	$(RELEASE) -o bin/doorward ./cmd/doorward

test: ## everything this machine allows; says at the end what it left out
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' sh scripts/test.sh all

test-unit: ## needs no root, no network and no packages
	@GO='$(GO)' sh scripts/test.sh unit

test-race: ## the main module under the race detector; needs a C compiler
	@GO='$(GO)' sh scripts/test.sh race

test-real: ## with Request Tracker, nginx, PostgreSQL, Chromium and an ACME server
	@GO='$(GO)' sh scripts/test.sh real

lint: ## gofmt, go vet, staticcheck
	@GO='$(GO)' sh scripts/test.sh lint

fuzz: ## each fuzz target for FUZZTIME
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' sh scripts/test.sh fuzz

bench: ## beside nginx, a bare reverse proxy, lynis, fail2ban and crowdsec; writes docs/benchmarks.md
	cd test && $(GO) run ./bench -out docs/benchmarks.md

bench-waf: ## the firewall beside nginx with ModSecurity on the same rules; writes docs/benchmarks.md
	cd test && $(GO) run ./bench -waf -out docs/benchmarks.md

docs: ## the generated references: docs/configuration.md, docs/commands.md, docs/man, docs/openapi.yaml, docs/controls.md, the matrix in docs/roles.md
	DOORWARD_UPDATE=1 $(GO) test -count=1 -run '^TestGenerated' . ./api ./config ./cmd/doorward

clean:
	rm -rf bin
