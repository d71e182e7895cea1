/* The relay under test: its process on a simulated host, with a store that outlives the process.
 *
 * Everything the relay needs is simulated; the relay itself is the code of src/relay, unchanged. The process
 * can be killed at any moment and is started again on the same store.
 */
#ifndef SIM_NODE_H
#define SIM_NODE_H

#include "relay/admin.h"
#include "relay/relay.h"
#include "sim/oracle.h"
#include "sim/resolver.h"
#include "sim/server.h"
#include "sim/store.h"

enum { SIM_HOLDS_MAX = 16 };

struct sim_hold {	       /* of a domain, by hand; confirmed by the relay */
	struct sim_node *node; /* NULL: none yet */
	char domain[32];
	bool wanted; /* the last thing asked for was to hold: a resume may have overtaken the answer */
	bool held;
	int64_t since_us;
};

struct sim_node {
	struct sim_world *world;
	struct sim_oracle *oracle;
	struct sim_resolver *resolver;
	struct sim_host *host;
	struct sim_store store;
	struct relay *relay; /* NULL: the process is dead */
	struct relay_config config;
	struct net_address own_address;
	struct log log;
	uint64_t seed, starts;
	bool listening;
	struct sim_event restart, stop;
	int64_t stop_until_us;
	int64_t last_event_us;
	uint64_t turns, turns_max, turns_without_event; /* a relay that asks to be run again and again */
	struct sim_hold holds[SIM_HOLDS_MAX];
	/* checks of quiescent points */
	bool checking;
	uint64_t checks, check_entries, held_id; /* held_id: a message that was held at the last check */
};

void sim_node_init(struct sim_node *node, struct sim_world *world, struct sim_oracle *oracle,
		   struct sim_resolver *resolver, struct sim_host *host, enum sim_store_kind kind);
void sim_node_deinit(struct sim_node *node);
void sim_node_start(struct sim_node *node);
/* The process dies now. */
void sim_node_kill(struct sim_node *node);
/* The process ends politely: within a while, then it is killed. Start it again later. */
void sim_node_stop(struct sim_node *node);
/* The same as kill, and the machine: what was not synced is gone, nobody is told. */
void sim_node_power_cut(struct sim_node *node);
void sim_node_start_after(struct sim_node *node, int64_t delay_us);
bool sim_node_ready(const struct sim_node *node);
bool sim_node_run_ready(
    struct sim_node *node); /* runs the world until then; false, and a violation: it took too long */

/* Runs the world until that moment, or until stop says so (may be NULL). Returns whether stop said so. */
bool sim_node_run(struct sim_node *node, int64_t until_us, bool (*stop)(void *owner), void *owner);

/* Serves a domain: destinations as in admin_domain_add. Runs the world until it is durable. False: it was
 * not. */
bool sim_node_add_domain(struct sim_node *node, const char *name, const struct slice *destinations,
			 size_t count);
/* Administration by hand; the answer does not matter. */
void sim_node_hold(struct sim_node *node, const char *domain);
void sim_node_resume(struct sim_node *node, const char *domain);
void sim_node_probe(struct sim_node *node, const char *domain);
void sim_node_release(struct sim_node *node); /* the first message of the last check */

/* Promise 6, at any moment: accepted = queued + ended, and every queued recipient has a reason and a next
 * event. The answers come while the world runs. */
void sim_node_check(struct sim_node *node);
/* At a MAIL command: a lane that is down sends one canary at a time. */
void sim_node_check_window(struct sim_node *node, const struct sim_server *server);
/* At a RCPT command of a transaction that began then: nothing goes to a domain that is held by hand, and one
 * canary at a time to one that is refused. count: transactions for the domain that are open at all servers.
 */
void sim_node_check_domain(struct sim_node *node, struct slice domain, int64_t begun_us,
			   uint32_t (*count)(void *owner, struct slice domain, int64_t begun_after_us),
			   void *owner);
void sim_node_totals(const struct sim_node *node, struct store_totals *ret_totals);

#endif
