# kafka_fdw: builds with PGXS and librdkafka.  "make help" lists the targets.
#
#   PG_CONFIG=/path/to/pg_config   the PostgreSQL to build for
#   WERROR=1                       -Wall -Wextra -Werror, as CI builds
#   ASSERT=1                       with PostgreSQL's assertions
#   FUZZ=1                         with test/fuzz/*.c
#   TESTING=1                      with places where tests can stop a process

EXTENSION = kafka_fdw
MODULE_big = kafka_fdw
DATA = $(wildcard sql/*--*.sql)
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

# For tools/fuzz only.
ifdef FUZZ
OBJS += test/fuzz/kafka_fuzz.o test/fuzz/mutate.o
endif

# The answers of both are in expected/: outputdir, not inputdir, leads there.
REGRESS := $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test --outputdir=.
ISOLATION := $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=.
PROVE_TESTS := $(sort $(wildcard test/t/*.pl))
TAP_TESTS := $(if $(PROVE_TESTS),1)

# Set both to build with a librdkafka that pkg-config does not know.
PKG_CONFIG ?= pkg-config
RDKAFKA_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags rdkafka 2>/dev/null)
RDKAFKA_LIBS ?= $(shell $(PKG_CONFIG) --libs rdkafka 2>/dev/null || echo -lrdkafka)

PG_CPPFLAGS = -Isrc $(RDKAFKA_CFLAGS)
SHLIB_LINK += $(RDKAFKA_LIBS)

ifdef ASSERT
PG_CPPFLAGS += -DUSE_ASSERT_CHECKING
endif

ifdef TESTING
PG_CPPFLAGS += -DKAFKA_FDW_TESTING
endif

# PostgreSQL's own headers and callback types are not clean under -Wextra:
#   unused-parameter          callbacks take what their type says
#   sign-compare              headers before 16
#   missing-field-initializers  tables end with {0} or {NULL}
ifdef WERROR
PG_CFLAGS += -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers
endif

# JIT can inline only operators and functions in bitcode, which an FDW does
# not gain from, and making it needs the clang that PostgreSQL was built with
# and doubles the build time.  "make with_llvm=yes" makes it all the same.
ifneq ($(origin with_llvm),command line)
override with_llvm = no
endif

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

.DEFAULT_GOAL := all

ifneq ($(wildcard $(PGXS)),)
include $(PGXS)

# These only work after the include.  Decoding is the inner loop of all there is
# here, and gains from -O3 what PostgreSQL's own code does not need.
override CFLAGS := $(patsubst -O2,-O3,$(CFLAGS))
PROVE_FLAGS += -I test/lib
$(OBJS): $(wildcard src/*.h src/*/*.h) | need-server need-librdkafka
EXTRA_CLEAN += $(wildcard src/*.gc?? src/*/*.gc??)

else
all install uninstall installcheck: need-server
	@false

clean distclean:
	rm -f $(OBJS) $(MODULE_big).so
endif

.PHONY: need-server need-librdkafka
need-server:
	@test -f "$(PGXS)" && test -f "$$($(PG_CONFIG) --includedir-server)/postgres.h" || { \
	echo "error: PostgreSQL's server headers were not found by PG_CONFIG=$(PG_CONFIG)."; \
	echo "Install them (Debian, Ubuntu: apt-get install postgresql-server-dev-all; or run tools/setup build),"; \
	echo "or name the installation: make PG_CONFIG=/path/to/pg_config"; \
	exit 1; } >&2
	@test "$$($(PG_CONFIG) --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')" -ge 15 || { \
	echo "error: kafka_fdw needs PostgreSQL 15 or later; $(PG_CONFIG) is $$($(PG_CONFIG) --version)."; \
	exit 1; } >&2

need-librdkafka:
	@echo '#include <librdkafka/rdkafka.h>' | $(CC) $(RDKAFKA_CFLAGS) -E -o /dev/null - 2>/dev/null || { \
	command -v $(PKG_CONFIG) >/dev/null || echo "error: $(PKG_CONFIG) was not found."; \
	$(PKG_CONFIG) --exists rdkafka 2>/dev/null || echo "error: rdkafka.pc (librdkafka for developers) was not found."; \
	echo "error: the header librdkafka/rdkafka.h was not found."; \
	echo "Install librdkafka (Debian, Ubuntu: apt-get install pkg-config librdkafka-dev; or run tools/setup build),"; \
	echo "or set PKG_CONFIG_PATH, or RDKAFKA_CFLAGS and RDKAFKA_LIBS."; \
	exit 1; } >&2

# The targets below need nothing but make; the scripts install what they use.
# The settings of PGXS are not for them.
unexport MAKEFLAGS

.PHONY: help demo test soak bench fuzz indent check-indent check-layers check-sql
help:
	@echo "make                  build kafka_fdw.so for PG_CONFIG=$(PG_CONFIG) (WERROR=1, ASSERT=1, TESTING=1)"
	@echo "make install          install it there (as the owner of that installation)"
	@echo "make demo             install what is needed and show the extension at work"
	@echo "make test             all tests, in a copy of this tree, on a server and broker of their own"
	@echo "       PG=16          on another PostgreSQL: an installed one, or 16 or 18 from a package cache"
	@echo "       LIBRDKAFKA=new with a newer librdkafka than the installed one, from a package cache"
	@echo "       ACCEPT=1       take the results that differ as new answers into expected/"
	@echo "       TESTS=...      a part: 'checks', 'regress', 'regress:NAME,NAME', 'isolation', 'tap', 't/004*'"
	@echo "make fuzz             decode mutated messages under sanitizers (INPUTS=20000000, SEED=1)"
	@echo "make soak             kills of workers, sessions, server and broker under load (KILLS=200)"
	@echo "make bench            install what is needed and run the benchmark"
	@echo "make indent           lay out src/ as PostgreSQL does (check-indent: print the difference)"
	@echo "make check-layers     who may include whom"
	@echo "make check-sql        pgspot on the install scripts"
	@echo "make installcheck     PGXS's own, on a running server that has kafka_fdw in shared_preload_libraries"

demo:
	tools/setup demo
	tools/demo

test:
	tools/test $(if $(PG),--pg $(PG)) $(if $(LIBRDKAFKA),--librdkafka) $(if $(ACCEPT),--accept) $(foreach t,$(TESTS),--only '$(t)')

soak:
	KAFKA_FDW_KILLS=$(or $(KILLS),200) TAP_SECONDS=$$((120 + 6 * $(or $(KILLS),200))) tools/test $(if $(PG),--pg $(PG)) --only 't/086*'

fuzz:
	tools/setup build
	tools/fuzz --inputs $(or $(INPUTS),20000000) $(if $(SEED),--seed $(SEED))

bench:
	tools/setup bench
	test/bench/run

indent:
	tools/indent

check-indent:
	tools/indent --check

check-layers:
	tools/layers

check-sql:
	tools/check-sql
