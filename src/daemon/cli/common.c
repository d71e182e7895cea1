#include <stdlib.h>
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
