/* /metrics: the text format of Prometheus, checked line by line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http.h"

enum { SERIES_MAX = 4096, FAMILIES_MAX = 128 };

static int setup(void **state)
{
	struct http *http = calloc(1, sizeof(*http));

	if (http == NULL)
		return -1;
	http_start(http, NULL);
	*state = http;
	return 0;
}

static int teardown(void **state)
{
	http_stop(*state);
	free(*state);
	return 0;
}

static char *scrape(struct http *http)
{
	struct http_answer answer = http_request(http, "GET", "/metrics", NULL, NULL);

	assert_int_equal(answer.status, 200);
	assert_string_equal(answer.content_type, "text/plain; version=0.0.4; charset=utf-8");
	assert_true(answer.size > 0 && answer.body[answer.size - 1] == '\n');
	return answer.body;
}

static size_t name_size(const char *text)
{
	return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:");
}

/* Behind the label's closing quote; fails on a bare control character. */
static const char *skip_label(const char *text)
{
	size_t name = name_size(text);

	if (name == 0 || text[name] != '=' || text[name + 1] != '"')
		fail_msg("no label: %.60s", text);
	for (text += name + 2; *text != '"'; text++) {
		if (*text == '\0' || *text == '\n')
			fail_msg("a label's value does not end");
		if (*text == '\\') {
			text++;
			assert_true(*text == '\\' || *text == '"' || *text == 'n');
		}
	}
	return text + 1;
}

/* Returns the value; *ret_series_size: of name and labels. */
static double check_sample(const char *line, size_t *ret_series_size)
{
	const char *at = line + name_size(line);
	char *end;

	assert_true(at > line && strncmp(line, "restante_", 9) == 0);
	if (*at == '{') {
		do
			at = skip_label(at + 1);
		while (*at == ',');
		assert_int_equal(*at++, '}');
	}
	*ret_series_size = (size_t)(at - line);
	assert_int_equal(*at++, ' ');
	double value = strtod(at, &end);
	if (end == at || *end != '\0')
		fail_msg("no value: %s", line);
	return value;
}

struct checked {
	char family[64]; /* the one whose samples are read */
	bool counter;
	char *series[SERIES_MAX];
	size_t series_count;
	char *families[FAMILIES_MAX];
	size_t family_count;
};

static void remember(char **list, size_t *count, size_t max, const char *text, size_t size)
{
	assert_true(*count < max);
	for (size_t i = 0; i < *count; i++)
		if (strlen(list[i]) == size && strncmp(list[i], text, size) == 0)
			fail_msg("twice: %.*s", (int)size, text);
	list[*count] = strndup(text, size);
	assert_non_null(list[(*count)++]);
}

static void check_line(struct checked *checked, const char *line)
{
	char name[64], type[16];
	size_t series;

	if (strncmp(line, "# HELP ", 7) == 0) {
		size_t size = name_size(line + 7);
		assert_true(line[7 + size] == ' ' && strlen(line) > 7 + size + 10);
		remember(checked->families, &checked->family_count, FAMILIES_MAX, line + 7, size);
		(void)snprintf(checked->family, sizeof(checked->family), "%.*s", (int)size, line + 7);
	} else if (strncmp(line, "# TYPE ", 7) == 0) {
		assert_int_equal(sscanf(line, "# TYPE %63s %15s", name, type), 2);
		assert_string_equal(name, checked->family);
		checked->counter = strcmp(type, "counter") == 0;
		assert_true(checked->counter || strcmp(type, "gauge") == 0);
	} else {
		double value = check_sample(line, &series);
		size_t size = name_size(line);
		assert_true(strlen(checked->family) == size && strncmp(line, checked->family, size) == 0);
		assert_int_equal(checked->counter, size > 6 && strncmp(line + size - 6, "_total", 6) == 0);
		assert_true(!checked->counter || value >= 0);
		remember(checked->series, &checked->series_count, SERIES_MAX, line, series);
	}
}

static void check_format(char *text, size_t families_min)
{
	struct checked *checked = calloc(1, sizeof(*checked));

	assert_non_null(checked);
	for (char *line = strsep(&text, "\n"); line != NULL && text != NULL; line = strsep(&text, "\n"))
		check_line(checked, line);
	assert_true(checked->family_count >= families_min);
	for (size_t i = 0; i < checked->series_count; i++)
		free(checked->series[i]);
	for (size_t i = 0; i < checked->family_count; i++)
		free(checked->families[i]);
	free(checked);
}

static void test_format(void **state)
{
	struct http *http = *state;

	http->relay.lane_count = 20;
	char *text = scrape(http);
	check_format(text, 33);
	free(text);
}

static void test_no_lane_at_all(void **state)
{
	struct http *http = *state;

	http->relay.lane_count = 0;
	char *text = scrape(http);
	assert_null(strstr(text, "restante_lane_"));
	assert_non_null(strstr(text, "\nrestante_lanes_shown 0\n"));
	check_format(text, 20);
	free(text);
}

static const char *const samples[] = {
    "\nrestante_info{node=\"relay.example.net\",version=\"9.8.7\"} 1\n",
    "\nrestante_start_time_seconds 1699913600\n",
    "\nrestante_held_messages 12\n",
    "\nrestante_held_oldest_seconds 3600\n",
    "\nrestante_recipients_accepted_total 100\n",
    "\nrestante_recipients_unaccounted 0\n",
    "\nrestante_space_state{state=\"ok\"} 1\n",
    "\nrestante_space_capacity_bytes 1048576000\n",
    "\nrestante_space_free_bytes 838860800\n",
    "\nrestante_domain_share_bytes{domain=\"d0-0.example\"} 314572800\n",
    "\nrestante_domain_share_used_up{domain=\"d0-0.example\"} 0\n",
    "\nrestante_sessions{direction=\"in\"} 3\n",
    "\nrestante_lane_state{lane=\"mail0.example.net:25\",state=\"down\"} 1\n",
    "\nrestante_lane_state{lane=\"mail0.example.net:25\",state=\"up\"} 0\n",
    "\nrestante_lane_down{lane=\"mail0.example.net:25\",kind=\"refused\"} 1\n",
    "\nrestante_lane_next_probe_seconds{lane=\"mail0.example.net:25\"} 4.5\n",
    "\nrestante_lane_window{lane=\"mail1.example.net:25\"} 8.5\n",
    "\nrestante_lane_connection_limit{lane=\"mail1.example.net:25\"} 20\n",
    "\nrestante_domain_state{domain=\"d0-1.example\",state=\"refusing\"} 1\n",
    "\nrestante_domain_state{domain=\"waiting.example\",state=\"waiting\"} 1\n",
    "\nrestante_domain_held_messages{domain=\"d0-0.example\"} 3\n",
};

static void test_samples(void **state)
{
	char *text = scrape(*state);

	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
		if (strstr(text, samples[i]) == NULL)
			fail_msg("missing: %s in %s", samples[i], text);
	assert_null(strstr(text, "restante_lane_next_probe_seconds{lane=\"mail1"));
	assert_null(strstr(text, "lane=\"\""));
	free(text);
}

static void test_label_is_escaped(void **state)
{
	struct http *http = *state;

	http->relay.lane_count = 1;
	http->relay.lane_name = "a\\b\"c\nd\xFF"
				"e\xC3\xA9";
	char *text = scrape(http);
	assert_non_null(strstr(text, "{lane=\"a\\\\b\\\"c\\nd?e\xC3\xA9\"} 1\n"));
	check_format(text, 33);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_format, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_lane_at_all, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_samples, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_label_is_escaped, setup, teardown),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
