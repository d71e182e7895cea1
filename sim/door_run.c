/* Our own door while the directory behind it breaks. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/run.h"
#include "sim/scene.h"

enum {
	SEEN = 30,	    /* users that get mail from the beginning */
	WARM_MAILS = 90,    /* for them, in the first contact's hour of grace and a while after it */
	MAILS = 120,	    /* while the server is broken, and as many before and after */
	FIRST_UNSEEN = 100, /* number of the first user that nobody has seen */
};

#define WARM_US	   CLOCK_SECONDS(75 * 60)
#define HEALTHY_US CLOCK_SECONDS(900)
/* Somebody may wait for a back-off of an hour, and for the hold detector. */
#define LIMIT_US CLOCK_SECONDS(8 * 3600)

struct door_run {
	struct sim_scene scene;
	struct sim_server *server;
	struct sim_sender *sender, *stranger;
	enum sim_breakage breakage;
	struct sim_event breaks, heals, kills;
	int64_t end_us; /* of the breakage */
	unsigned next_unseen, next_unknown;
	uint64_t unseen;
};

/* --- what breaks --- */

static bool partly(const struct door_run *run)
{
	return run->breakage == SIM_BREAK_NAMES || run->breakage == SIM_BREAK_LOT;
}

static void fire_break(void *owner)
{
	struct door_run *run = owner;
	struct sim_world *world = &run->scene.world;
	struct sim_mood *mood = &run->server->mood;

	sim_note(world, "the directory breaks");
	sim_server_start(run->server); /* if it was down */
	if (run->breakage == SIM_BREAK_NAMES)
		mood->refuses_one_in = (uint32_t)sim_log_uniform(world, 3, 100);
	else if (run->breakage == SIM_BREAK_LOT)
		mood->permanent[SIM_STAGE_RCPT] = (double)sim_log_uniform(world, 1, 60) / 100;
	else
		mood->refuses_all = true;
	if (!partly(run) && sim_chance(world, 0.3))
		mood->refusal = sim_chance(world, 0.5) ? "550 5.7.1 Relay access denied" : "550 User unknown";
	if (run->breakage == SIM_BREAK_MINUTES)
		sim_after(world, &run->heals, sim_log_uniform(world, 1000, CLOCK_SECONDS(120)));
}

static void fire_heal(void *owner)
{
	struct door_run *run = owner;
	struct sim_world *world = &run->scene.world;

	sim_note(world, "the directory is whole");
	sim_server_healthy(run->server);
	if (run->breakage == SIM_BREAK_MINUTES && world->now_us < run->end_us)
		sim_after(world, &run->breaks, sim_log_uniform(world, 1000, CLOCK_SECONDS(120)));
}

static void fire_kill(void *owner)
{
	struct door_run *run = owner;
	struct sim_world *world = &run->scene.world;

	if (sim_chance(world, 0.5))
		sim_node_kill(&run->scene.node);
	else
		sim_node_power_cut(&run->scene.node);
	sim_node_start_after(&run->scene.node, sim_log_uniform(world, 1000, CLOCK_SECONDS(30)));
	if (world->now_us < run->end_us)
		sim_after(world, &run->kills, sim_log_uniform(world, CLOCK_SECONDS(10), CLOCK_SECONDS(600)));
}

/* --- mail --- */

static struct sim_mail_recipient *mail_to(struct door_run *run, const char *local, unsigned number,
					  bool asks_only, int64_t from_us, int64_t to_us)
{
	struct sim_world *world = &run->scene.world;
	struct sim_mail *mail = sim_scene_mail(&run->scene, (size_t)sim_between(world, 1, 500));
	char address[SIM_ADDRESS_SIZE];

	(void)snprintf(address, sizeof(address), "%s%u@%s", local, number, run->scene.domains[0]);
	sim_mail_to(mail, address, false);
	mail->asks_only = asks_only;
	sim_sender_submit(asks_only ? run->stranger : run->sender, mail, sim_between(world, from_us, to_us));
	return &mail->recipients[0];
}

static void mail_seen(struct door_run *run, unsigned user, int64_t from_us, int64_t to_us)
{
	(void)mail_to(run, "u", user % SEEN, false, from_us, to_us);
}

/* Where some are taken and others refused, one who was never seen cannot be told from one who is not there;
 * what was taken for him might end. */
static void mail_unseen(struct door_run *run, int64_t from_us, int64_t to_us)
{
	struct sim_mail_recipient *r =
	    mail_to(run, "u", FIRST_UNSEEN + run->next_unseen++, partly(run), from_us, to_us);

	r->unseen = partly(run);
	run->unseen++;
}

static void mail_unknown(struct door_run *run, int64_t from_us, int64_t to_us)
{
	mail_to(run, "x", run->next_unknown++, true, from_us, to_us)->unknown = true;
}

static void mails(struct door_run *run, int64_t from_us, int64_t to_us, bool broken)
{
	struct sim_world *world = &run->scene.world;

	for (int i = 0; i < MAILS; i++) {
		if (sim_chance(world, 0.4))
			mail_seen(run, (unsigned)rng_below(&world->rng, SEEN), from_us, to_us);
		else if (broken && sim_chance(world, 0.6))
			mail_unseen(run, from_us, to_us);
		else
			mail_unknown(run, from_us, to_us);
	}
}

/* --- the world of a seed --- */

static void draw_server(struct door_run *run)
{
	struct sim_world *world = &run->scene.world;

	run->server = sim_scene_server(&run->scene);
	run->server->features = (struct sim_features){.esmtp = true,
						      .pipelining = sim_chance(world, 0.7),
						      .enhanced = true,
						      .size = sim_chance(world, 0.5),
						      .knows_users = true};
	run->server->host->latency_us = sim_log_uniform(world, 50, 80000);
}

static bool serve(struct door_run *run)
{
	struct slice host = SLICE("mx1.test");

	sim_node_start(&run->scene.node);
	if (!sim_node_add_domain(&run->scene.node, sim_scene_domain(&run->scene), &host, 1))
		return false;
	run->sender = sim_scene_sender(&run->scene);
	run->stranger = sim_scene_sender(&run->scene);
	run->sender->config.pipelining = rng_unit(&run->scene.world.rng);
	run->stranger->config.pipelining = rng_unit(&run->scene.world.rng);
	return true;
}

/* Grace is over when it breaks; then as long again in which all is well. */
static void draw_history(struct door_run *run)
{
	struct sim_world *world = &run->scene.world;
	int64_t start_us = world->now_us, warm_us = start_us + WARM_US, breaks_us = warm_us + HEALTHY_US;

	run->breakage = (enum sim_breakage)rng_below(&world->rng, SIM_BREAKAGES);
	run->end_us = breaks_us + sim_log_uniform(world, CLOCK_SECONDS(20), CLOCK_SECONDS(2400));
	for (unsigned i = 0; i < WARM_MAILS; i++) /* everybody is among them */
		mail_seen(run, i, start_us, warm_us);
	mails(run, warm_us, breaks_us, false);
	mails(run, breaks_us, run->end_us, true);
	sim_event_init(&run->breaks, fire_break, run);
	sim_event_init(&run->heals, fire_heal, run);
	sim_event_init(&run->kills, fire_kill, run);
	sim_at(world, &run->breaks, breaks_us);
	if (sim_chance(world, 0.4))
		sim_at(world, &run->kills, sim_between(world, warm_us, run->end_us));
}

static void play(struct door_run *run)
{
	struct sim_world *world = &run->scene.world;
	struct sim_node *node = &run->scene.node;
	int64_t breaks_us;

	draw_history(run);
	breaks_us = run->breaks.node.key;
	if (run->breakage == SIM_BREAK_RESTORED) {
		(void)sim_node_run(node, breaks_us - sim_log_uniform(world, CLOCK_SECONDS(1), HEALTHY_US),
				   NULL, NULL);
		sim_server_kill(run->server);
	}
	(void)sim_node_run(node, run->end_us, NULL, NULL);
	sim_cancel(world, &run->breaks);
	sim_cancel(world, &run->heals);
	sim_cancel(world, &run->kills);
	sim_scene_calm(&run->scene);
	sim_scene_drain(&run->scene, LIMIT_US);
	sim_node_check(node);
	(void)sim_node_run(node, world->now_us + CLOCK_SECONDS(5), NULL, NULL);
	sim_oracle_finish(&run->scene.oracle);
}

void sim_door_run(uint64_t seed, enum sim_store_kind kind, FILE *verbose, struct sim_door_result *ret_result)
{
	struct door_run *run = sim_alloc(sizeof(*run));

	sim_scene_init(&run->scene, seed, kind, verbose);
	draw_server(run);
	if (serve(run))
		play(run);
	*ret_result = (struct sim_door_result){.breakage = run->breakage, .unseen = run->unseen};
	if (run->stranger != NULL) {
		ret_result->unseen_refused = run->stranger->unseen_refused;
		ret_result->unknown_refused = run->stranger->unknown_refused;
		ret_result->unknown_taken = run->stranger->unknown_taken;
	}
	sim_run_fill(&ret_result->run, &run->scene);
	sim_scene_deinit(&run->scene);
	free(run);
}
