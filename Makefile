# reco: real-time recommendations inside the database that holds the catalog
EXTENSION = reco
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" reco.control)
MODULE_big = reco
SUBDIRS = . common shmem heap worker engine trending lists activity publish mirror kafka redis functions
OBJS = $(foreach d,$(SUBDIRS),$(patsubst %.c,%.o,$(sort $(wildcard src/$d/*.c))))
PG_CPPFLAGS = -I$(srcdir)/src
DATA = $(wildcard reco--*.sql)
SHLIB_LINK = -lrdkafka -lhiredis

REGRESS = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
REGRESS_OPTS = --load-extension=reco
ISOLATION = $(patsubst test/isolation/specs/%.spec,%,$(sort $(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --load-extension=reco --inputdir=test/isolation

# No bitcode: the hot functions are not worth inlining into queries.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Continuous integration builds with WERROR=1; a newer compiler must not break a user's build.
ifdef WERROR
PG_CFLAGS += -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-clobbered -Werror
override CFLAGS += $(PG_CFLAGS)
endif

# Objects depend on every header: the tree is small, and a stale object costs more than a rebuild.
$(OBJS): $(wildcard src/*/*.h)
