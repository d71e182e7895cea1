/* SPF: the input is a client's address (5 bytes), then lines: the sender, and the answers to whatever is
 * asked, in turn. Asked forwards and fed backwards the result is the same, and the questions end.
 */
#include <string.h>

#include "base/check.h"
#include "fuzz.h"
#include "proto/spf.h"

enum { ANSWER_RECORDS_MAX = 12 };

struct world {
	struct slice lines[64];
	size_t count;
};

/* The answer to the nth question: a line, its records with '|' between them; "!" is a failure. */
static int answer(struct spf_check *check, const struct world *world, const struct spf_question *q, size_t n)
{
	struct slice records[ANSWER_RECORDS_MAX], rest = slice_of("");
	size_t count = 0;

	if (world->count > 0)
		rest = world->lines[n % world->count];
	if (slice_equal(rest, SLICE("!")))
		return spf_check_answer(check, q, SPF_STATUS_FAILED, records, 0);
	while (count < ANSWER_RECORDS_MAX && slice_split(&rest, '|', &records[count])) {
		if (q->type == SPF_TYPE_ADDRESS && records[count].size != 4 && records[count].size != 16)
			continue;
		count++;
	}
	return spf_check_answer(check, q, count > 0 ? SPF_STATUS_FOUND : SPF_STATUS_VOID, records, count);
}

static int start(struct spf_check *check, const uint8_t *data, struct slice sender)
{
	struct spf_address client = {.family = (data[0] & 1) != 0 ? 6 : 4};
	size_t at = slice_find_last(sender, '@');

	memcpy(client.bytes, data + 1, 4);
	return spf_check_init(check, &client, SLICE("helo.example"), slice_upto(sender, at),
			      slice_from(sender, at + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct spf_question asked[SPF_QUESTIONS_MAX];
	struct world world = {.count = 0};
	struct slice rest, sender, line;
	struct spf_check check;
	enum spf_result result;
	size_t count = 0;
	int error = 0;

	if (size < 6)
		return 0;
	rest = slice_make(data + 5, size - 5);
	if (!slice_split(&rest, '\n', &sender) || start(&check, data, sender) != 0)
		return 0;
	while (world.count < 64 && slice_split(&rest, '\n', &line))
		world.lines[world.count++] = line;
	while (error == 0 && (result = spf_check_run(&check, &asked[count])) == SPF_RESULT_ASK) {
		error = answer(&check, &world, &asked[count], count);
		check(++count < SPF_QUESTIONS_MAX);
	}
	spf_check_deinit(&check);
	if (error != 0 || start(&check, data, sender) != 0)
		return 0;
	for (size_t i = count; i > 0 && error == 0; i--)
		error = answer(&check, &world, &asked[i - 1], i - 1);
	if (error == 0)
		check(spf_check_run(&check, &asked[count]) == result);
	spf_check_deinit(&check);
	return 0;
}
