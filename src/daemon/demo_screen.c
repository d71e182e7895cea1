#include "daemon/demo_screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR_WIDTH = 40 };

void demo_screen_init(struct demo_screen *screen)
{
	*screen = (struct demo_screen){.terminal = isatty(STDOUT_FILENO) != 0};
}

/* "ramp, window 4, 35/s" or "refused, next probe in 3.2 s". */
static void describe_lane(const struct demo_status *s, char *ret_text, size_t size)
{
	if (!s->known)
		(void)snprintf(ret_text, size, "(its API does not answer)");
	else if (strcmp(s->state, "down") == 0 && s->next_probe_s >= 0)
		(void)snprintf(ret_text, size, "down (%s), next probe in %.0f s", s->kind, s->next_probe_s);
	else if (strcmp(s->state, "down") == 0)
		(void)snprintf(ret_text, size, "down (%s)", s->kind);
	else
		(void)snprintf(ret_text, size, "%s%s%s, window %.0f, %.0f/s", s->state,
			       *s->phase != '\0' ? ", " : "", s->phase, s->window > 0 ? s->window : 0,
			       s->rate_per_s > 0 ? s->rate_per_s : 0);
}

static void describe_server(const struct demo_view *view, char *ret_text, size_t size)
{
	if (view->server_up)
		(void)snprintf(ret_text, size, "up, can take %.0f/s", view->capacity);
	else
		(void)snprintf(ret_text, size, "DOWN");
}

static unsigned percent_done(const struct demo_view *view)
{
	if (view->backlog_peak == 0)
		return 100;
	return (unsigned)(100 - 100 * view->backlog / view->backlog_peak);
}

static void describe_bar(const struct demo_view *view, char *ret_text, size_t size)
{
	char bar[BAR_WIDTH + 1], eta[32] = "";
	unsigned done = percent_done(view) * BAR_WIDTH / 100;
	memset(bar, '.', BAR_WIDTH);
	memset(bar, '#', done);
	bar[BAR_WIDTH] = '\0';
	if (view->status.eta_s >= 0 && view->server_up && view->backlog > 0)
		(void)snprintf(eta, sizeof(eta), ", about %.0f s to go", view->status.eta_s);
	(void)snprintf(ret_text, size, "[%s] %u %%%s", bar, percent_done(view), eta);
}

static void draw_picture(struct demo_screen *screen, const struct demo_view *view)
{
	char lane[128], server[64], bar[128];
	describe_lane(&view->status, lane, sizeof(lane));
	describe_server(view, server, sizeof(server));
	describe_bar(view, bar, sizeof(bar));
	if (screen->lines > 0)
		(void)printf("\033[%dA", screen->lines);
	(void)printf("\033[K%3.0f s  \033[1m%s\033[0m\n\033[K\n", view->age_s, view->headline);
	(void)printf("\033[K  senders   %6" PRIu64 " accepted, %" PRIu64 " not accepted\n", view->accepted,
		     view->refused);
	(void)printf("\033[K  relay     %6" PRIu64 " held; lane %s\n", view->status.held, lane);
	(void)printf("\033[K  server    %6" PRIu64 " arrived; %s\n", view->arrived, server);
	(void)printf("\033[K  backlog   %6" PRIu64 " %s\n\033[K\n", view->backlog, bar);
	screen->lines = 7;
}

static void draw_line(const struct demo_view *view, bool news)
{
	char lane[128], server[64];
	describe_lane(&view->status, lane, sizeof(lane));
	describe_server(view, server, sizeof(server));
	if (news)
		(void)printf("%3.0f s  == %s\n", view->age_s, view->headline);
	(void)printf("%3.0f s  accepted %" PRIu64 ", held %" PRIu64 ", arrived %" PRIu64
		     "; server %s; lane %s\n",
		     view->age_s, view->accepted, view->status.held, view->arrived, server, lane);
}

void demo_screen_show(struct demo_screen *screen, const struct demo_view *view)
{
	bool news = screen->headline != view->headline;
	if (!news && view->age_s < screen->next_s)
		return;
	if (screen->terminal)
		draw_picture(screen, view);
	else
		draw_line(view, news);
	(void)fflush(stdout);
	screen->headline = view->headline;
	screen->next_s = view->age_s + (screen->terminal ? SCREEN_PICTURE_MS : SCREEN_LINE_MS) / 1000.0;
}
