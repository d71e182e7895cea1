/* A customer's mail server that behaves like one of the models of tests/unit/lane: as slow, as cold, as
 *fragile.
 *
 *	fake_server MODEL PORT [--seed N] [--full SECONDS]
 *	fake_server MODEL --oracle BACKLOG FRESH_PER_S [--seed N] [--full SECONDS]
 *
 * MODEL: M1, M2... as in tests/unit/lane/stories.c, or M10: 550 to everybody, at first. --full: so long is
 *there no space (M5), or nobody known (M10). It listens on 127.0.0.1 and is plain, warm and well at first.
 *Standard input tells it what happens to it, one word a line: "down" (connections are reset, new ones
 *refused), "hole" (nothing is answered, not even a SYN), "up" (it is the model from now on, freshly started).
 *It ends with the end of that input.
 *
 * Standard output has a line for each event, with the time of CLOCK_MONOTONIC in seconds:
 *	U t			up
 *	D t number		a message was answered with 250; the number is its Subject
 *	R t why			a refusal: connections, busy, rate, full, mailbox, 550
 *	X t in_service		it died of too much
 *	S t in_service connections capacity worked	each 0.2 s; capacity in messages per second, were it
 *not overrun; worked: messages' worth of work done so far
 *
 * --oracle prints how many seconds a server needs that is always exactly at its capacity.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "stories.h"

static _Noreturn void usage(void)
{
	(void)fprintf(stderr,
		      "usage: fake_server MODEL PORT [--seed N] [--full SECONDS]\n"
		      "       fake_server MODEL --oracle BACKLOG FRESH_PER_S [--seed N] [--full SECONDS]\n");
	exit(2);
}

static double number(const char *text)
{
	char *end;
	double value = text != NULL ? strtod(text, &end) : 0;

	if (text == NULL || end == text || *end != '\0')
		usage();
	return value;
}

static const char *option(int argc, char **argv, const char *name, int offset)
{
	for (int i = 2; i + offset < argc; i++) {
		if (strcmp(argv[i], name) == 0)
			return argv[i + offset];
	}
	return NULL;
}

static bool find_model(const char *name, struct model *model)
{
	bool refuses = strcmp(name, "M10") == 0;
	const struct story *story = story_named(refuses ? "M1" : name);

	if (story == NULL)
		usage();
	*model = story->model;
	if (refuses)
		model->full_s = 1200;
	return refuses;
}

struct options {
	struct model model;
	bool refuses, oracle;
	double seed, port, backlog, fresh_per_s;
};

static struct options parse(int argc, char **argv)
{
	struct options options = {.seed = 1};
	const char *seed, *full;

	if (argc < 3)
		usage();
	seed = option(argc, argv, "--seed", 1);
	full = option(argc, argv, "--full", 1);
	options.refuses = find_model(argv[1], &options.model);
	if (seed != NULL)
		options.seed = number(seed);
	if (full != NULL)
		options.model.full_s = number(full);
	options.oracle = strcmp(argv[2], "--oracle") == 0;
	if (options.oracle) {
		options.backlog = number(option(argc, argv, "--oracle", 1));
		options.fresh_per_s = number(option(argc, argv, "--oracle", 2));
	} else {
		options.port = number(argv[2]);
	}
	return options;
}

int main(int argc, char **argv)
{
	struct options options = parse(argc, argv);
	uint64_t seed = (uint64_t)options.seed;
	struct host *host;

	(void)signal(SIGPIPE, SIG_IGN);
	if (options.oracle) {
		printf("%.2f\n", oracle_drain_s(&options.model, seed, options.backlog, options.fresh_per_s));
		return 0;
	}
	host = calloc(1, sizeof(*host));
	if (host == NULL)
		return 1;
	host->story = options.model;
	host->refuses_then = options.refuses;
	host->seed = seed;
	host->port = (uint16_t)options.port;
	host_run(host);
	free(host);
	return 0;
}
