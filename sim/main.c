/* sim: runs the relay in a simulated world, one history for each seed, and judges what came of it. */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/run.h"
#include "sim/story.h"

struct options {
	uint64_t seed, seeds;
	enum sim_store_kind store;
	bool verbose, hash, progress, twice, door;
	const char *story;
};

static const char usage[] =
    "usage: sim [--seed N] [--seeds COUNT] [--store ram|spool] [--verbose] [--hash] [--progress] [--twice] "
    "[--door]\n"
    "       sim --story FILE [--seed N] [--store ram|spool] [--verbose]\n"
    "One history for each seed, the same each time. --hash prints a fingerprint of each, --twice runs each "
    "twice and\n"
    "compares. --door plays our own door and a directory that breaks. Stories: sim/scenarios/. Seeded "
    "defects: sim/defects.py --list.\n";

/* The one use of real time: a seed whose code goes round and round is named before the process ends. */
enum { SEED_LIMIT_S = 60 };
static const char hangs[] = "a seed does not end: the one after the last that was named, or see --progress\n";

static void on_alarm(int signal)
{
	(void)!write(STDERR_FILENO, hangs, sizeof(hangs) - 1);
	abort();
}

static int fail_usage(void)
{
	(void)fputs(usage, stderr);
	return 2;
}

static bool number(const char *text, uint64_t *ret_value)
{
	return slice_to_u64(slice_of(text), ret_value) == 0;
}

static bool parse(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
	    {"seed", required_argument, NULL, 's'},  {"seeds", required_argument, NULL, 'n'},
	    {"story", required_argument, NULL, 'f'}, {"store", required_argument, NULL, 't'},
	    {"verbose", no_argument, NULL, 'v'},     {"hash", no_argument, NULL, 'h'},
	    {"progress", no_argument, NULL, 'p'},    {"twice", no_argument, NULL, '2'},
	    {"door", no_argument, NULL, 'd'},	     {0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 's' && !number(optarg, &o->seed))
			return false;
		if (c == 'n' && !number(optarg, &o->seeds))
			return false;
		if (c == 't' && strcmp(optarg, "ram") != 0 && strcmp(optarg, "spool") != 0)
			return false;
		if (c == 't')
			o->store = strcmp(optarg, "spool") == 0 ? SIM_STORE_SPOOL : SIM_STORE_RAM;
		if (c == 'f')
			o->story = optarg;
		o->verbose = o->verbose || c == 'v';
		o->hash = o->hash || c == 'h';
		o->progress = o->progress || c == 'p';
		o->twice = o->twice || c == '2';
		o->door = o->door || c == 'd';
		if (c == '?')
			return false;
	}
	return optind == argc;
}

static void tell_failure(const struct options *o, uint64_t seed, const struct sim_run_result *r)
{
	(void)printf("seed %llu FAILED: %s\n", (unsigned long long)seed, r->first);
	if (r->violations > 1)
		(void)printf("  and %llu more\n", (unsigned long long)r->violations - 1);
	(void)printf("  replay: sim%s --seed %llu --store %s --verbose\n", o->door ? " --door" : "",
		     (unsigned long long)seed, o->store == SIM_STORE_SPOOL ? "spool" : "ram");
	(void)fflush(stdout);
}

/* Sums over the seeds, by what broke. */
struct door_sums {
	struct {
		uint64_t seeds, unseen, unseen_refused, unknown_refused, unknown_taken;
	} of[SIM_BREAKAGES];
};

static void play_door(const struct options *o, uint64_t seed, struct door_sums *sums,
		      struct sim_run_result *r)
{
	struct sim_door_result door;

	sim_door_run(seed, o->store, o->verbose ? stdout : NULL, &door);
	*r = door.run;
	sums->of[door.breakage].seeds++;
	sums->of[door.breakage].unseen += door.unseen;
	sums->of[door.breakage].unseen_refused += door.unseen_refused;
	sums->of[door.breakage].unknown_refused += door.unknown_refused;
	sums->of[door.breakage].unknown_taken += door.unknown_taken;
}

static void tell_door(const struct door_sums *sums)
{
	static const char *const names[SIM_BREAKAGES] = {"all", "all, by minutes", "all, restored", "by name",
							 "by lot"};

	(void)puts("refuses          seeds  unseen  refused for good | nobody: refused  taken");
	for (size_t i = 0; i < SIM_BREAKAGES; i++)
		(void)printf("%-15s  %5llu  %6llu  %16llu | %15llu  %5llu\n", names[i],
			     (unsigned long long)sums->of[i].seeds, (unsigned long long)sums->of[i].unseen,
			     (unsigned long long)sums->of[i].unseen_refused,
			     (unsigned long long)sums->of[i].unknown_refused,
			     (unsigned long long)sums->of[i].unknown_taken);
}

/* The same seed again, at other addresses in memory, must give the same history. */
static void run_again(const struct options *o, uint64_t seed, struct sim_run_result *r)
{
	struct sim_run_result again;

	sim_run(seed, o->store, NULL, &again);
	if (again.trace_hash == r->trace_hash && again.events == r->events)
		return;
	r->violations++;
	(void)snprintf(r->first, sizeof(r->first),
		       "two runs of this seed differ: something is not deterministic");
}

int main(int argc, char **argv)
{
	struct options o = {.seed = 1, .seeds = 1};
	struct sim_run_result sum = {0}, r;
	struct door_sums doors = {0};
	uint64_t failed = 0;

	if (!parse(argc, argv, &o))
		return fail_usage();
	(void)signal(SIGALRM, on_alarm);
	if (o.story != NULL)
		return sim_story(o.story, o.seed, o.store, o.verbose ? stdout : NULL) ? 0 : 1;
	for (uint64_t seed = o.seed; seed < o.seed + o.seeds; seed++) {
		if (o.progress)
			(void)fprintf(stderr, "%llu\n", (unsigned long long)seed);
		(void)alarm(SEED_LIMIT_S);
		if (o.door)
			play_door(&o, seed, &doors, &r);
		else
			sim_run(seed, o.store, o.verbose ? stdout : NULL, &r);
		if (o.twice && !o.door)
			run_again(&o, seed, &r);
		if (o.hash)
			(void)printf("%llu %016llx\n", (unsigned long long)seed,
				     (unsigned long long)r.trace_hash);
		if (r.violations > 0) {
			failed++;
			tell_failure(&o, seed, &r);
		}
		sum.acked += r.acked;
		sum.delivered += r.delivered;
		sum.duplicates += r.duplicates;
		sum.crashes += r.crashes;
		sum.events += r.events;
	}
	(void)printf("%llu seeds, %llu failed: %llu events, %llu recipients acknowledged, %llu delivered, "
		     "%llu duplicates"
		     " (each with its cause), %llu crashes of the relay\n",
		     (unsigned long long)o.seeds, (unsigned long long)failed, (unsigned long long)sum.events,
		     (unsigned long long)sum.acked, (unsigned long long)sum.delivered,
		     (unsigned long long)sum.duplicates, (unsigned long long)sum.crashes);
	if (o.door)
		tell_door(&doors);
	return failed > 0 ? 1 : 0;
}
