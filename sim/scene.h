/* A scene: everything of one simulation in one place: the world, the network, names, servers, senders, the
 * relay. Random runs (run.c) and stories (story.c) both play in it.
 */
#ifndef SIM_SCENE_H
#define SIM_SCENE_H

#include "sim/node.h"
#include "sim/sender.h"

enum {
	SIM_SERVERS_MAX = 4,
	SIM_DOMAINS_MAX = 8,
	SIM_SENDERS_MAX = 4,
	SIM_USERS = 20, /* of each domain: u0@, u1@ ... */
};

struct sim_scene {
	struct sim_world world;
	struct sim_net net;
	struct sim_resolver resolver;
	struct sim_oracle oracle;
	struct sim_node node;
	struct sim_server servers[SIM_SERVERS_MAX];
	char server_names[SIM_SERVERS_MAX][16];
	size_t server_count;
	char domains[SIM_DOMAINS_MAX][32];
	size_t domain_count;
	struct sim_sender senders[SIM_SENDERS_MAX];
	char sender_names[SIM_SENDERS_MAX][16];
	size_t sender_count;
	uint32_t mails;
};

void sim_scene_init(struct sim_scene *scene, uint64_t seed, enum sim_store_kind kind, FILE *verbose);
void sim_scene_deinit(struct sim_scene *scene);

/* mx1, mx2 ...: healthy, with an address under <name>.test in the DNS. */
struct sim_server *sim_scene_server(struct sim_scene *scene);
struct sim_sender *sim_scene_sender(struct sim_scene *scene);
/* d1.test, d2.test ... Served later, by sim_node_add_domain. */
const char *sim_scene_domain(struct sim_scene *scene);
/* A mail of this size to this user of this domain; to be submitted. */
struct sim_mail *sim_scene_mail(struct sim_scene *scene, size_t size_bytes);
void sim_scene_address(const struct sim_scene *scene, size_t domain, unsigned user,
		       char ret_address[SIM_ADDRESS_SIZE]);

/* All faults off, everybody well, and the relay running. */
void sim_scene_calm(struct sim_scene *scene);
/* Every sender has nothing left to send, everything acknowledged is stored at a server, and the relay holds
 * nothing. */
bool sim_scene_drained(void *scene);
/* Runs until it is drained; what is not within the limit is a violation. */
void sim_scene_drain(struct sim_scene *scene, int64_t limit_us);

#endif
