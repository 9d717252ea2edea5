/* The process that holds a pod's namespaces: it sleeps, reaps orphans, and ends when told to. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal) { _exit(0); }
static void reap(int signal) { while (waitpid(-1, 0, WNOHANG) > 0); }

int main(void)
{
    struct sigaction on = {.sa_handler = end};
    sigaction(SIGINT, &on, 0);
    sigaction(SIGTERM, &on, 0);
    on.sa_handler = reap;
    on.sa_flags = SA_NOCLDSTOP;
    sigaction(SIGCHLD, &on, 0);
    for (;;)
        pause();
}
