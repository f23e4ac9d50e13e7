/* updraft-init: process 1 of a dyno, linked statically, so that it needs nothing of the stack. The kernel gives a process 1 no default signal
 * actions: the dyno's command is its child. It reaps what is left to it, lives through SIGTERM, which the holder sends to every process of the
 * dyno, and ends as the command ended; whatever daemons still run then die with it.
 * usage: updraft-init PROGRAM [ARGUMENT ...] */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void stay(int signo)
{
	(void)signo;
}

static void run(char **argv)
{
	static const int ours[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTTOU };
	setpgid(0, 0);
	if (isatty(0))
		tcsetpgrp(0, getpid());                  /* SIGTTOU is ignored still */
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		signal(ours[i], SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);       /* one that came meanwhile ends it here */
	execvp(argv[0], argv);
	fprintf(stderr, "%s cannot be run: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

int main(int argc, char **argv)
{
	static const int lived[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	int status = 0;
	if (argc < 2) {
		fprintf(stderr, "usage: updraft-init PROGRAM [ARGUMENT ...]\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof lived / sizeof *lived; i++)
		sigaction(lived[i], &(struct sigaction){ .sa_handler = stay, .sa_flags = SA_RESTART }, NULL);
	signal(SIGTTOU, SIG_IGN);
	/* a stop that comes while the command is being started must not be lost */
	sigset_t term, pending;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	pid_t child = fork();
	if (child < 0) {
		perror("updraft-init: fork");
		return 126;
	}
	if (child == 0)
		run(argv + 1);
	if (sigpending(&pending) == 0 && sigismember(&pending, SIGTERM))
		kill(child, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &term, NULL);
	for (pid_t pid; (pid = waitpid(-1, &status, 0)) != child;)
		if (pid < 0 && errno != EINTR) {
			perror("updraft-init: wait");
			return 126;
		}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
