/* The simulated DNS: a table of names, and what may go wrong with it. */
#ifndef SIM_RESOLVER_H
#define SIM_RESOLVER_H

#include "base/list.h"
#include "port/resolver.h"
#include "sim/world.h"

enum {
	SIM_NAMES_MAX = 64,
	SIM_RECORDS_MAX = 8, /* of one name and type */
	SIM_TTL_S = 300,
};

struct sim_name {
	char name[64];
	enum resolver_status status; /* OK: the records below, NODATA where there are none */
	size_t mx_count, address_count;
	struct resolver_mx mx[SIM_RECORDS_MAX];
	struct net_address address[SIM_RECORDS_MAX];
};

struct sim_resolver {
	struct resolver port;
	struct sim_world *world;
	struct sim_name names[SIM_NAMES_MAX];
	size_t count;
	struct list queries;
	int64_t delay_low_us, delay_high_us;
	double fails; /* probability: SERVFAIL */
	double slow;  /* probability: the answer takes up to 20 s */
	bool dead;    /* every question fails, after 5 s */
	uint64_t asked;
};

void sim_resolver_init(struct sim_resolver *resolver, struct sim_world *world);
/* Forgets the questions that are open: their owners are gone. */
void sim_resolver_forget(struct sim_resolver *resolver);
size_t sim_resolver_open(const struct sim_resolver *resolver); /* questions without an answer */

/* The entry for a name, made if there is none. */
struct sim_name *sim_name(struct sim_resolver *resolver, struct slice name);
void sim_name_mx(struct sim_resolver *resolver, struct slice name, uint16_t preference, struct slice host);
void sim_name_address(struct sim_resolver *resolver, struct slice name, const struct net_address *address);
void sim_name_clear(struct sim_resolver *resolver, struct slice name);

#endif
