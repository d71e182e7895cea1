/* status: what the node holds, its lanes and their domains, once or every second. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "api/timestamp.h"
#include "daemon/cli.h"
#include "daemon/cli/commands.h"
#include "daemon/cli/format.h"
#include "daemon/cli/table.h"

enum {
	NOTE_MAX = 700,
	BAR_COLUMNS = 40,
	ROWS_MAX =
	    40, /* lanes and domains that are all shown; of more, those that need attention or hold mail */
};

/* --- the table --- */

/* How long ago, by the daemon's clock. */
static const char *ago(const json_t *status, const json_t *object, const char *key,
		       char ret_text[FORMAT_SIZE])
{
	int64_t now_ms, then_ms;

	if (timestamp_parse(slice_of(text_of(status, "time")), &now_ms, NULL) != 0 ||
	    timestamp_parse(slice_of(text_of(object, key)), &then_ms, NULL) != 0)
		return "-";
	return format_duration((now_ms - then_ms) / 1000, ret_text);
}

static void add_held_cells(struct table *table, const json_t *held)
{
	bool some = number_of(held, "messages") > 0;
	char text[FORMAT_SIZE];

	table_cell(table, some ? STYLE_BOLD : STYLE_DIM,
		   format_count((uint64_t)number_of(held, "messages"), text));
	table_cell(table, STYLE_PLAIN, some ? format_bytes((uint64_t)number_of(held, "bytes"), text) : "-");
	table_cell(table, STYLE_PLAIN,
		   some ? format_duration((int64_t)number_of(held, "oldest_s"), text) : "-");
}

static enum table_style state_style(const char *state)
{
	if (strcmp(state, "up") == 0 || strcmp(state, "open") == 0 || strcmp(state, "idle") == 0)
		return STYLE_GOOD;
	return strcmp(state, "down") == 0 || strcmp(state, "refusing") == 0 ? STYLE_BAD : STYLE_WARN;
}

static void add_state_cells(struct table *table, const json_t *status, const json_t *object, const char *more)
{
	const char *state = text_of(object, "state");
	char text[2 * FORMAT_SIZE], since[FORMAT_SIZE];

	(void)snprintf(text, sizeof(text), more[0] != '\0' ? "%s (%s)" : "%s", state, more);
	table_cell(table, state_style(state), text);
	table_cell(table, STYLE_PLAIN, ago(status, object, "since", since));
}

/* What comes next for a lane: a probe, or the end of its backlog. */
static void next_of_lane(const json_t *lane, char *text, size_t size)
{
	char duration[FORMAT_SIZE];

	text[0] = '\0';
	if (json_is_number(json_object_get(lane, "next_probe_s")))
		(void)snprintf(text, size, "probe in %s",
			       format_duration((int64_t)(number_of(lane, "next_probe_s") + 0.5), duration));
	else if (json_is_number(json_object_get(lane, "eta_s")))
		(void)snprintf(text, size, "empty in %s",
			       format_duration((int64_t)(number_of(lane, "eta_s") + 0.5), duration));
}

static void add_flow_cells(struct table *table, const json_t *lane)
{
	bool down = strcmp(text_of(lane, "state"), "down") == 0;
	char window[FORMAT_SIZE], cell[2 * FORMAT_SIZE], next[2 * FORMAT_SIZE];

	(void)snprintf(cell, sizeof(cell), "%.0f/%s", number_of(lane, "in_flight"),
		       format_rate(number_of(lane, "window"), window));
	table_cell(table, STYLE_PLAIN, down ? "-" : cell);
	table_cell(table, STYLE_PLAIN, down ? "-" : format_rate(number_of(lane, "rate_per_s"), cell));
	next_of_lane(lane, next, sizeof(next));
	table_cell(table, STYLE_PLAIN, next);
}

/* The largest number held that was seen of this lane; it begins anew when the lane has emptied. */
static double peak_of(json_t *peaks, const char *lane, double held)
{
	double peak = number_of(peaks, lane);

	if (held == 0)
		peak = 0;
	if (held > peak)
		peak = held;
	(void)json_object_set_new(peaks, lane, json_real(peak));
	return peak;
}

static void add_progress(struct table *table, const json_t *lane, json_t *peaks)
{
	double held = number_of(json_object_get(lane, "held"), "messages");
	double peak = peak_of(peaks, text_of(lane, "lane"), held);
	char *bar = NULL, note[NOTE_MAX];
	size_t size = 0;

	if (held == 0)
		return;
	FILE *to = open_memstream(&bar, &size);
	if (to == NULL)
		return;
	print_bar(to, 1 - held / peak, BAR_COLUMNS);
	(void)fclose(to);
	(void)snprintf(note, sizeof(note), "%s %3.0f %%", bar, 100 * (1 - held / peak));
	table_note(table, STYLE_PLAIN, note);
	free(bar);
}

static void add_words(struct table *table, enum table_style style, const char *words)
{
	if (words[0] != '\0')
		table_note(table, style, words);
}

static void add_lane(struct table *table, const json_t *status, const json_t *lane, json_t *peaks)
{
	bool down = strcmp(text_of(lane, "state"), "down") == 0;

	table_row(table);
	if (text_of(lane, "lane")[0] == '\0') {
		table_cell(table, STYLE_BOLD, "(no destination yet)");
		return;
	}
	table_cell(table, STYLE_BOLD, text_of(lane, "lane"));
	add_state_cells(table, status, lane, text_of(lane, down ? "kind" : "phase"));
	add_held_cells(table, json_object_get(lane, "held"));
	add_flow_cells(table, lane);
	if (down)
		add_words(table, STYLE_WARN, text_of(lane, "last_reply"));
	if (peaks != NULL)
		add_progress(table, lane, peaks);
}

static void add_expiry(struct table *table, const json_t *domain)
{
	char when[FORMAT_SIZE], words[FORMAT_SIZE + 64];

	(void)snprintf(words, sizeof(words), "its oldest mail expires in %s",
		       format_duration((int64_t)number_of(domain, "expires_s"), when));
	add_words(table, STYLE_BAD, words);
}

static void add_domain(struct table *table, const json_t *status, const json_t *domain)
{
	char name[NOTE_MAX];

	(void)snprintf(name, sizeof(name), "  %s", text_of(domain, "name"));
	table_row(table);
	table_cell(table, STYLE_PLAIN, name);
	add_state_cells(table, status, domain, "");
	add_held_cells(table, json_object_get(domain, "held"));
	if (strcmp(text_of(domain, "state"), "open") != 0)
		add_words(table, STYLE_WARN, text_of(domain, "reason"));
	if (json_is_true(json_object_get(domain, "share_used_up")))
		add_words(table, STYLE_BAD,
			  "its share of the spool is used up: senders are told to come again (452)");
	if (json_is_true(json_object_get(domain, "expires_soon")))
		add_expiry(table, domain);
}

/* --- of many, those that need attention --- */

static bool domain_needs(const json_t *domain)
{
	return strcmp(text_of(domain, "state"), "open") != 0 ||
	       json_is_true(json_object_get(domain, "share_used_up")) ||
	       json_is_true(json_object_get(domain, "expires_soon")) ||
	       number_of(json_object_get(domain, "held"), "messages") > 0;
}

static bool lane_needs(const json_t *lane)
{
	const json_t *domain;
	size_t i;
	bool needs = strcmp(text_of(lane, "state"), "down") == 0 ||
		     number_of(json_object_get(lane, "held"), "messages") > 0;

	json_array_foreach(json_object_get(lane, "domains"), i, domain) needs = needs || domain_needs(domain);
	return needs;
}

static double rows_of(const json_t *status)
{
	const json_t *sums = json_object_get(status, "sums");

	return number_of(json_object_get(sums, "lanes"), "total") +
	       number_of(json_object_get(sums, "domains"), "total");
}

static void print_sums(FILE *to, const json_t *status)
{
	const json_t *lanes = json_object_get(json_object_get(status, "sums"), "lanes");
	char count[5][FORMAT_SIZE];

	(void)fprintf(to, "\nlanes: %s up, %s idle, %s down; domains: %s. ",
		      format_count((uint64_t)number_of(lanes, "up"), count[0]),
		      format_count((uint64_t)number_of(lanes, "idle"), count[1]),
		      format_count((uint64_t)number_of(lanes, "down"), count[2]),
		      format_count((uint64_t)number_of(
				       json_object_get(json_object_get(status, "sums"), "domains"), "total"),
				   count[3]));
	(void)fprintf(to,
		      "Shown are at most %d that need attention; all: `restante status --all`, one: "
		      "`restante status NAME`\n",
		      ROWS_MAX);
}

/* Returns how many rows it came to. */
static size_t add_lane_rows(struct table *table, const json_t *status, const json_t *lane, bool every,
			    json_t *peaks)
{
	const json_t *domain;
	size_t i, rows = 1;

	add_lane(table, status, lane, peaks);
	json_array_foreach(json_object_get(lane, "domains"), i, domain)
	{
		if (!every && (!domain_needs(domain) || rows >= ROWS_MAX))
			continue;
		add_domain(table, status, domain);
		rows++;
	}
	return rows;
}

static void print_lanes(FILE *to, const json_t *status, bool colour, bool every, json_t *peaks)
{
	static const char *const heads[] = {"LANE / DOMAIN", "STATE",  "FOR",	 "HELD", "SIZE",
					    "OLDEST",	     "WINDOW", "RATE/S", "NEXT"};
	struct table table;
	const json_t *lane;
	size_t i, rows = 0;

	table_init(&table, 9, 0xFCu); /* figures to the right */
	table_row(&table);
	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		table_cell(&table, STYLE_DIM, heads[i]);
	json_array_foreach(json_object_get(status, "lanes"), i, lane)
	{
		if (every || (rows < ROWS_MAX && lane_needs(lane)))
			rows += add_lane_rows(&table, status, lane, every, peaks);
	}
	if (rows > 0)
		table_print(&table, to, colour);
	table_deinit(&table);
}

/* --- the head --- */

static void print_node(FILE *to, const json_t *status, bool colour)
{
	char up[FORMAT_SIZE];

	style_begin(to, colour, STYLE_BOLD);
	print_safe(to, text_of(status, "node"));
	style_end(to, colour, STYLE_BOLD);
	(void)fprintf(to, "  restante ");
	print_safe(to, text_of(status, "version"));
	(void)fprintf(to, ", up %s, sessions %.0f in, %.0f out\n",
		      ago(status, json_object_get(status, "since_start"), "up_since", up),
		      number_of(json_object_get(status, "sessions"), "inbound"),
		      number_of(json_object_get(status, "sessions"), "outbound"));
}

static void print_held(FILE *to, const json_t *held)
{
	char count[FORMAT_SIZE], bytes[FORMAT_SIZE], age[FORMAT_SIZE];

	if (number_of(held, "messages") == 0) {
		(void)fprintf(to, "nothing is held\n");
		return;
	}
	(void)fprintf(to, "held: %s messages, %s, oldest %s\n",
		      format_count((uint64_t)number_of(held, "messages"), count),
		      format_bytes((uint64_t)number_of(held, "bytes"), bytes),
		      format_duration((int64_t)number_of(held, "oldest_s"), age));
}

/* Every recipient is held or has met its end: said each time, and loudly when it is not so. */
static void print_account(FILE *to, const json_t *totals, bool colour)
{
	double accepted = number_of(totals, "accepted"), queued = number_of(totals, "queued"),
	       ended = number_of(totals, "ended");
	char text[4][FORMAT_SIZE];
	bool wrong = accepted != queued + ended;

	style_begin(to, colour && wrong, STYLE_BAD);
	(void)fprintf(to, "recipients: %s accepted %s %s queued + %s ended (%s delivered)%s\n",
		      format_count((uint64_t)accepted, text[0]), wrong ? "IS NOT" : "=",
		      format_count((uint64_t)queued, text[1]), format_count((uint64_t)ended, text[2]),
		      format_count((uint64_t)number_of(totals, "delivered"), text[3]),
		      wrong ? ": this is a bug, please report it" : "");
	style_end(to, colour && wrong, STYLE_BAD);
	if (number_of(totals, "set_aside") > 0)
		(void)fprintf(to, "set aside: %.0f messages with a damaged record\n",
			      number_of(totals, "set_aside"));
}

/* Nothing while there is no limit. */
static void print_space(FILE *to, const json_t *space, bool colour)
{
	const char *state = text_of(space, "state");
	bool well = strcmp(state, "ok") == 0, warning = strcmp(state, "warning") == 0;
	enum table_style style = warning ? STYLE_WARN : STYLE_BAD;
	char free_bytes[FORMAT_SIZE], capacity[FORMAT_SIZE], when[FORMAT_SIZE];

	if (number_of(space, "capacity_bytes") <= 0 && well)
		return;
	style_begin(to, colour && !well, style);
	(void)fprintf(to, "spool: %.0f %% of %s used, %s free", number_of(space, "used_percent"),
		      format_bytes((uint64_t)number_of(space, "capacity_bytes"), capacity),
		      format_bytes((uint64_t)number_of(space, "free_bytes"), free_bytes));
	if (json_is_number(json_object_get(space, "full_in_s")))
		(void)fprintf(to, ", full in %s",
			      format_duration((int64_t)number_of(space, "full_in_s"), when));
	if (strcmp(state, "full") == 0)
		(void)fprintf(to,
			      ": FULL, senders are told to come again (452), held mail is still delivered");
	if (strcmp(state, "failed") == 0) {
		(void)fprintf(to, ": THE DISK FAILED: ");
		print_safe(to, text_of(space, "why"));
		(void)fprintf(to, "; nothing is accepted (451), repair it and restart");
	}
	style_end(to, colour && !well, style);
	(void)fputc('\n', to);
}

static void print_outside(FILE *to, const json_t *outside)
{
	double messages = number_of(outside, "messages"), refused = number_of(outside, "refused_since_start");

	if (messages > 0)
		(void)fprintf(to, "own mail: %.0f for %.0f domains that are not served here\n", messages,
			      number_of(outside, "domains"));
	if (refused > 0)
		(void)fprintf(to, "own mail: its limits were reached %.0f times since start\n", refused);
}

void print_status(FILE *to, const json_t *status, bool colour, bool all, json_t *peaks)
{
	bool every = all || rows_of(status) <= ROWS_MAX;

	print_node(to, status, colour);
	print_held(to, json_object_get(status, "held"));
	print_account(to, json_object_get(status, "totals"), colour);
	print_space(to, json_object_get(status, "space"), colour);
	print_outside(to, json_object_get(status, "outside"));
	(void)fputc('\n', to);
	if (rows_of(status) == 0 && json_array_size(json_object_get(status, "lanes")) == 0)
		(void)fprintf(to, "no domain is served yet: `restante domain add NAME`\n");
	else
		print_lanes(to, status, colour, every, peaks);
	if (!every)
		print_sums(to, status);
}

/* --- watching --- */

static unsigned screen_rows(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2 ? size.ws_row : 24;
}

/* Draws over the last picture: from the top, each line cleared behind its end, and the screen below. */
static void redraw(const char *picture, unsigned rows)
{
	(void)fputs("\x1b[H", stdout);
	for (unsigned row = 1; row < rows && *picture != '\0'; row++) {
		size_t size = strcspn(picture, "\n");
		(void)fwrite(picture, 1, size, stdout);
		(void)fputs("\x1b[K\n", stdout);
		picture += size + (picture[size] == '\n');
	}
	(void)fputs(*picture != '\0' ? "...\x1b[J" : "\x1b[J", stdout);
}

static void show_picture(const json_t *status, bool all, json_t *peaks, bool terminal)
{
	char *picture = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&picture, &size);

	if (to == NULL)
		return;
	print_status(to, status, colour_wanted(stdout), all, peaks);
	(void)fclose(to);
	if (terminal)
		redraw(picture, screen_rows());
	else
		(void)printf("%s\n", picture);
	free(picture);
	(void)fflush(stdout);
}

/* One picture. False: the daemon is gone, or nobody reads. */
static bool watch_once(struct client *client, const struct arguments *arguments, const char *target,
		       json_t *peaks, bool terminal)
{
	if (arguments->json) {
		bool printed = print_pages(client, target, "lanes") == CLI_OK;
		return fflush(stdout) == 0 && printed;
	}
	json_t *status = client_pages(client, target, "lanes");
	if (status == NULL)
		return false;
	show_picture(status, arguments->all || arguments->word_count > 0, peaks, terminal);
	json_decref(status);
	return ferror(stdout) == 0;
}

/* Until Ctrl-C, which is waited for instead of sleeping. */
static int watch(struct client *client, const struct arguments *arguments, const char *target)
{
	const struct timespec second = {.tv_sec = 1};
	bool terminal = isatty(STDOUT_FILENO) == 1 && !arguments->json, going = true, stopped = false;
	json_t *peaks = json_object();
	sigset_t stop;

	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGINT);
	(void)sigaddset(&stop, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &stop, NULL);
	if (terminal) /* clear; no cursor, and long lines are cut instead of wrapped */
		(void)fputs("\x1b[2J\x1b[?25l\x1b[?7l", stdout);
	while (going && !stopped) {
		going = watch_once(client, arguments, target, peaks, terminal);
		stopped = going && sigtimedwait(&stop, NULL, &second) != -1;
	}
	if (terminal)
		(void)fputs("\x1b[?7h\x1b[?25h\n", stdout);
	json_decref(peaks);
	return going ? CLI_OK : CLI_FAILED;
}

static int show_once(struct client *client, const struct arguments *arguments, const char *target)
{
	json_t *status = client_pages(client, target, "lanes");

	if (status == NULL)
		return CLI_FAILED;
	print_status(stdout, status, colour_wanted(stdout), arguments->all || arguments->word_count > 0,
		     NULL);
	json_decref(status);
	return CLI_OK;
}

/* People want to see what needs attention, programs everything. */
static const char *target_before(const struct arguments *arguments)
{
	if (arguments->word_count > 0)
		return "/v1/status?domain=";
	return arguments->json || arguments->all ? "/v1/status" : "/v1/status?order=attention";
}

int run_status(struct client *client, const struct arguments *arguments)
{
	const char *name = arguments->word_count > 0 ? arguments->words[0] : "";
	struct buffer target;
	int status = CLI_FAILED;

	if (target_of(&target, target_before(arguments), name, "") == 0) {
		const char *path = buffer_slice(&target).data;
		if (arguments->watch)
			status = watch(client, arguments, path);
		else if (arguments->json)
			status = print_pages(client, path, "lanes");
		else
			status = show_once(client, arguments, path);
	}
	buffer_deinit(&target);
	return status;
}
