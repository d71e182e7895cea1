#include "base/error.h"

const char *error_name(int error)
{
	switch ((enum error)error) {
	case ERR_NONE:
		return "ok";
	case ERR_MEMORY:
		return "out of memory";
	case ERR_LIMIT:
		return "over a limit";
	case ERR_SYNTAX:
		return "bad syntax";
	case ERR_CORRUPT:
		return "damaged";
	case ERR_MISSING:
		return "not found";
	case ERR_EXISTS:
		return "already there";
	case ERR_STATE:
		return "not possible now";
	case ERR_IO:
		return "input/output error";
	case ERR_VERSION:
		return "written by a newer version";
	case ERR_FOREIGN:
		return "not written by restante";
	case ERR_BUSY:
		return "in use by somebody else";
	}
	return "unknown error";
}
