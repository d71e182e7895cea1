#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/cli.h"
#include "daemon/cli/commands.h"
#include "daemon/cli/format.h"

int target_of(struct buffer *to, const char *before, const char *name, const char *behind)
{
	buffer_init(to, 0);
	int error = buffer_add(to, slice_of(before));
	if (error == 0)
		error = client_escape(to, name);
	if (error == 0)
		error = buffer_printf(to, "%s%c", behind, '\0');
	if (error != 0)
		(void)fprintf(stderr, "restante: out of memory\n");
	return error;
}

int add_query(struct buffer *to, bool *first, const char *key, const char *value)
{
	if (value == NULL)
		return 0;
	int error = buffer_printf(to, "%c%s=", *first ? '?' : '&', key);
	*first = false;
	return error != 0 ? error : client_escape(to, value);
}

static int print_bytes(const struct buffer *bytes)
{
	struct slice text = buffer_slice(bytes);

	(void)fwrite(text.data != NULL ? text.data : "", 1, text.size, stdout);
	(void)putchar('\n');
	return CLI_OK;
}

int print_answer(struct client *client, const char *target)
{
	struct buffer answer;
	int status = CLI_FAILED;

	buffer_init(&answer, CLIENT_ANSWER_MAX);
	if (client_request(client, "GET", target, NULL, &answer, NULL) == 0)
		status = print_bytes(&answer);
	buffer_deinit(&answer);
	return status;
}

/* --- pages --- */

/* The members of the next page's list go behind those of the first. False: it was said why. */
static bool add_page(struct client *client, const char *target, const char *list, json_t *first)
{
	struct buffer path;
	char before[256];
	json_t *page = NULL;

	(void)snprintf(before, sizeof(before), "%s%cafter=", target, strchr(target, '?') != NULL ? '&' : '?');
	if (target_of(&path, before, text_of(first, "next"), "") == 0)
		page = client_json(client, "GET", buffer_slice(&path).data, NULL);
	buffer_deinit(&path);
	if (page == NULL)
		return false;
	json_t *next = json_object_get(page, "next");
	bool added = json_array_extend(json_object_get(first, list), json_object_get(page, list)) == 0 &&
		     json_object_set(first, "next", next != NULL ? next : json_null()) == 0;
	json_decref(page);
	if (!added)
		(void)fprintf(stderr, "restante: out of memory\n");
	return added;
}

static json_t *add_pages(struct client *client, const char *target, const char *list, json_t *first)
{
	while (first != NULL && json_is_string(json_object_get(first, "next")))
		if (!add_page(client, target, list, first)) {
			json_decref(first);
			return NULL;
		}
	return first;
}

json_t *client_pages(struct client *client, const char *target, const char *list)
{
	return add_pages(client, target, list, client_json(client, "GET", target, NULL));
}

int print_pages(struct client *client, const char *target, const char *list)
{
	struct buffer answer;
	json_t *first = NULL;
	int status = CLI_FAILED;

	buffer_init(&answer, CLIENT_ANSWER_MAX);
	if (client_request(client, "GET", target, NULL, &answer, NULL) == 0)
		first = json_loadb(buffer_slice(&answer).data, buffer_size(&answer), 0, NULL);
	if (first != NULL && !json_is_string(json_object_get(first, "next"))) {
		status = print_bytes(&answer);
	} else if (first != NULL) {
		first = add_pages(client, target, list, first);
		status = first != NULL && json_dumpf(first, stdout, JSON_COMPACT) == 0 ? CLI_OK : CLI_FAILED;
		(void)putchar('\n');
	}
	json_decref(first);
	buffer_deinit(&answer);
	return status;
}

static void print_message(const struct buffer *answer)
{
	struct slice text = buffer_slice(answer);
	json_t *value = json_loadb(text.data != NULL ? text.data : "", text.size, 0, NULL);

	print_safe(stdout, text_of(value, "message"));
	(void)putchar('\n');
	json_decref(value);
}

int change(struct client *client, const struct arguments *arguments, const char *method, const char *target,
	   const json_t *body)
{
	struct buffer answer;
	int status = CLI_FAILED;

	buffer_init(&answer, CLIENT_ANSWER_MAX);
	if (client_request(client, method, target, body, &answer, NULL) == 0) {
		status = CLI_OK;
		if (arguments->json)
			(void)print_bytes(&answer);
		else
			print_message(&answer);
	}
	buffer_deinit(&answer);
	return status;
}

const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

double number_of(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

bool colour_wanted(FILE *to)
{
	const char *no_colour = getenv("NO_COLOR");

	return isatty(fileno(to)) == 1 && (no_colour == NULL || no_colour[0] == '\0');
}

int64_t wall_now_ms(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int finish_output(int status)
{
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return status;
	(void)fprintf(stderr, "restante: standard output cannot be written\n");
	return status != CLI_OK ? status : CLI_FAILED;
}
