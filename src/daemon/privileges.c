#include "daemon/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NOBODY = 65534 };

bool privileges_worker(uid_t *ret_uid, gid_t *ret_gid)
{
	const struct passwd *user;
	*ret_uid = geteuid();
	*ret_gid = getegid();
	if (geteuid() != 0)
		return false;
	user = getpwnam("restante");
	if (user == NULL)
		user = getpwnam("nobody");
	*ret_uid = user != NULL ? user->pw_uid : NOBODY;
	*ret_gid = user != NULL ? user->pw_gid : NOBODY;
	return true;
}

void privileges_raise_limits(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= PRIVILEGES_FILES)
		return;
	struct rlimit wanted = {.rlim_cur = PRIVILEGES_FILES, .rlim_max = limit.rlim_max};
	if (limit.rlim_max < PRIVILEGES_FILES)
		wanted.rlim_max = PRIVILEGES_FILES; /* for root */
	if (setrlimit(RLIMIT_NOFILE, &wanted) == 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int become(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
		return ERR_STATE;
	if (setuid(0) == 0) {
		errno = EPERM;
		return ERR_STATE; /* it must not have been possible */
	}
	return 0;
}

int privileges_drop(bool drop, uid_t uid, gid_t gid, pid_t supervisor)
{
	if (drop && become(uid, gid) != 0)
		return ERR_STATE;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return ERR_STATE;
#ifdef __SANITIZE_ADDRESS__
	/* The leak check at the end traces its own process, which a change of user forbids. */
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
#endif
	/* A change of user clears this, so it comes after. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return ERR_STATE;
	if (getppid() != supervisor)
		(void)raise(SIGKILL); /* it died in between */
	return 0;
}
