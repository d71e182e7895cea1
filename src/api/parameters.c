#include "api/parameters.h"

#include "api/timestamp.h"
#include "base/base32.h"

struct slice parameter_text(const struct request *request, const char *name)
{
	return slice_of(MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name));
}

static bool refuse(struct request *request, const char *name, const char *wanted)
{
	struct slice given = slice_upto(parameter_text(request, name), 100);

	request_error(request, MHD_HTTP_BAD_REQUEST, "syntax", "%s=%.*s: %s", name, SLICE_ARG(given), wanted);
	return false;
}

bool parameter_path(struct request *request, const char *name, struct slice *ret_path)
{
	struct slice path = parameter_text(request, name);

	if (path.size > STORE_PATH_MAX)
		return refuse(request, name, "an address has at most 320 bytes");
	*ret_path = path;
	return true;
}

bool parameter_domain(struct request *request, const char *name, struct slice *ret_domain)
{
	struct slice domain = parameter_text(request, name);

	if (domain.size > RELAY_DOMAIN_NAME_MAX)
		return refuse(request, name, "a domain's name has at most 255 bytes");
	*ret_domain = domain;
	return true;
}

bool parameter_limit(struct request *request, const char *name, size_t *ret_limit)
{
	struct slice text = parameter_text(request, name);
	uint64_t limit = API_LIST_DEFAULT;

	if (text.size > 0 && (slice_to_u64(text, &limit) != 0 || limit < 1 || limit > API_LIST_MAX))
		return refuse(request, name, "must be a number from 1 to 1000; the rest by after=");
	*ret_limit = (size_t)limit;
	return true;
}

bool parameter_rows(struct request *request, const char *name, size_t *ret_rows)
{
	if (parameter_text(request, name).size > 0)
		return parameter_limit(request, name, ret_rows);
	*ret_rows = ADMIN_ROWS_MAX;
	return true;
}

bool parameter_flag(struct request *request, const char *name, bool *ret_flag)
{
	struct slice text = parameter_text(request, name);

	if (text.size > 0 && !slice_equal(text, SLICE("0")) && !slice_equal(text, SLICE("1")))
		return refuse(request, name, "must be 1 or 0");
	*ret_flag = slice_equal(text, SLICE("1"));
	return true;
}

bool parameter_id(struct request *request, const char *name, uint64_t *ret_id)
{
	struct slice text = parameter_text(request, name);
	uint64_t id = 0;

	if (text.size > 0 && base32_to_u64(text, &id) != 0)
		return refuse(request, name, "is not a message id (13 letters and digits)");
	*ret_id = id;
	return true;
}

bool parameter_time(struct request *request, const char *name, int64_t *ret_wall_ms)
{
	struct slice text = parameter_text(request, name);
	int64_t wall_ms = 0;

	if (text.size > 0 && timestamp_parse(text, &wall_ms, NULL) != 0)
		return refuse(request, name, "must be a time as in 2026-12-01T10:00:00Z");
	*ret_wall_ms = wall_ms;
	return true;
}
