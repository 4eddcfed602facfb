/* supervisor_impl.h - what the supervisor's files share. */
#ifndef HIF_CLI_SUPERVISOR_IMPL_H
#define HIF_CLI_SUPERVISOR_IMPL_H

#include "base/log.h"
#include "cli/supervisor/shelf.h"
#include "cli/supervisor/supervisor.h"
#include "cli/supervisor/wire.h"

#include <sys/un.h>

#define CLIENTS_MAX     16
#define CRASHES_MAX     3     /* so many ... */
#define CRASH_WINDOW_MS 60000 /* in this time: from then on it is slower */
#define DEATHS_MAX      200   /* the same for deaths of any kind, by others' hands, too */
#define DEATH_WINDOW_MS 10000
#define BACKOFF_MIN_MS  1000
#define BACKOFF_MAX_MS  30000
#define PROBE_EVERY_MS  5000
#define HUNG_AFTER_MS   5000  /* a probe that is not answered for so long */
#define ABORT_WAIT_MS   1000  /* from SIGABRT to SIGKILL */
#define UPGRADE_WAIT_MS 5000  /* for a new program's server to be warm, and then to answer */
#define SPARE_AGAIN_MS  5000  /* one that died is not made anew at once */
#define SPARE_AFTER_MS  50    /* programs that waited for the server are answered first */
#define CUT_WAIT_MS     10000 /* from SIGTERM to SIGKILL */
#define SPARE_WAIT_MS   30000 /* for a spare to be warm */
#define LEAVE_WAIT_MS   60000 /* for commands that run, and for the disk */
#define ADOPT_WAIT_MS   10000
#define VERSION_SIZE    64

enum life {
        LIFE_WAITING,  /* no server; the next one starts at start_at_ms */
        LIFE_ADOPTING, /* one that has lost its supervisor was asked to come */
        LIFE_STARTING,
        LIFE_RUNNING,
        LIFE_LEAVING, /* told to suspend */
};

/* What is to happen once the server is gone. */
enum aim {
        AIM_SERVE, /* start another */
        AIM_RESTART,
        AIM_UPGRADE,
        AIM_STOP,
};

struct server {
        pid_t pid;
        int pidfd, calls, events; /* -1: none */
        bool child;               /* of this process: its status can be had */
        bool warm;
        bool failed; /* it has said why it could not start */
        uint64_t started_ms, ready_ms;
        uint64_t leaving_ms; /* told to suspend */
        uint64_t probed_ms;  /* a probe that waits for its answer; 0: none does */
        uint64_t beat_ms;    /* the last answer */
        uint64_t kill_at_ms; /* SIGKILL follows; 0: no */
        char version[VERSION_SIZE];
};

/* A command that waits for an answer, or has not said what it wants. */
struct client {
        int fd; /* -1: free */
        uint16_t wants;
        uint64_t since_ms;
        uint64_t answer_at_ms; /* WIRE_STATUS: whatever is known then; 0: when it is known */
};

struct supervisor {
        struct cli *cli;
        struct log *log;
        int lock_fd, signal_fd, listen_fd;
        int program_fd;     /* what servers are started from, also when its file is replaced */
        char *program;      /* its path, for people */
        bool other_program; /* it is not what this process runs: since an upgrade */
        int (*serve)(void);
        struct sockaddr_un control, own;
        uint64_t looked_ms; /* when they were last seen to be there */
        struct shelf shelf;

        enum life life;
        enum aim aim;
        struct server server;
        struct server spare;  /* the next one, set up as far as it can be */
        uint64_t spare_at_ms; /* not before */
        bool faulty;          /* the last one died by its own fault: the next ones are run anew */
        uint64_t began_ms, start_at_ms, backoff_ms;
        uint64_t deaths_ms[DEATHS_MAX], crashes_ms[CRASHES_MAX]; /* rings */
        uint64_t death_count, crash_count, restarts;
        char last_death[128]; /* for people */
        bool ever_ready, done;
        int adopt_fd; /* the request to come, while it waits */
        /* A server lives that is not with us: the control socket is its own, and not ours to remove. */
        bool server_stays;
        bool unrecorded; /* the lock file does not say where the sockets are */

        /* An upgrade: what to go back to. */
        int old_program_fd; /* -1: no upgrade under way */
        char *old_program;
        uint64_t upgrade_ms; /* since when */
        bool rolled_back;    /* the server that ends next is of the program that is no good */
        bool upgraded;       /* the server is the new one: the supervisor is next */

        struct client clients[CLIENTS_MAX];
        size_t helpers;       /* children that have not been reaped */
        enum hif_err failure; /* why it ends, when it does so by itself */
        struct hif_why why;
        uint8_t buffer[WIRE_SIZE_MAX];
};

uint64_t supervisor_now_ms(void);

/* --- place.c: lock, log, sockets --- */

/* HIF_EBUSY: another supervisor has it. */
HIF_MUST_USE enum hif_err supervisor_lock(struct supervisor *supervisor, struct hif_why *why);
HIF_MUST_USE enum hif_err supervisor_log(struct supervisor *supervisor, struct hif_why *why);
/* Bind the control socket, for the server to listen on once it can answer, and our own. */
HIF_MUST_USE enum hif_err supervisor_sockets(struct supervisor *supervisor, struct hif_why *why);
/* Write down where they are, in the lock file, which tells commands whatever their environment says.
 * Where that fails it is tried again. */
void supervisor_record(struct supervisor *supervisor);
/* Are they still where commands look for them? /run/user/UID goes when a user logs out. */
bool supervisor_sockets_there(const struct supervisor *supervisor);
/* A server runs that has lost its supervisor: ask it to come. *asked: there is one. HIF_EUNREACHABLE:
 * there is one that hangs. */
HIF_MUST_USE enum hif_err supervisor_adopt(struct supervisor *supervisor, bool *asked,
                                           struct hif_why *why);
/* It does not come: what to do about it. HIF_EUNREACHABLE. */
HIF_MUST_USE enum hif_err supervisor_say_orphan(struct supervisor *supervisor, struct hif_why *why);

/* --- server.c: the server's process --- */

void server_init(struct server *server);
/* Start the process of one. It sets itself up, and then waits for WIRE_GO. anew: by running the
 * program; else it is a copy of this process, which has the program loaded already: that takes a
 * tenth of the time, but the same places in memory, and must be the same program. */
HIF_MUST_USE enum hif_err server_start(struct supervisor *supervisor, struct server *server,
                                       bool anew, struct hif_why *why);
/* After its end: what it died of, for people; true: by its own fault. Closes all of it. */
bool server_reap(struct server *server, char *text, size_t size);
/* SIGABRT, and a second later SIGKILL. */
void server_kill(struct server *server);
/* End a spare, and wait for that. */
void server_discard(struct server *server);
bool server_hung(const struct supervisor *supervisor);
/* Send it a word. A server that is gone is noticed by its end; from one that cannot be told, part. */
void server_tell(struct supervisor *supervisor, struct server *server, uint16_t kind);
/* A word was lost, there or here, and nobody says it again: it suspends, for the next one. */
void server_cut(struct server *server);

/* --- requests.c: commands --- */

void clients_accept(struct supervisor *supervisor);
void client_ready(struct supervisor *supervisor, struct client *client);
/* Answer those who wait for this, and close them. */
void clients_answer(struct supervisor *supervisor, uint16_t wants, enum hif_err err,
                    const char *text);
/* Those who asked how the server does: when it is known. */
void clients_status(struct supervisor *supervisor);

/* --- upgrade.c: another program in place of this one --- */

/* Make a spare of the program at that path, and have it take over. */
HIF_MUST_USE enum hif_err upgrade_begin(struct supervisor *supervisor, struct span path,
                                        struct hif_why *why);
/* When the spare is warm, the server goes; also for a restart. */
void upgrade_step(struct supervisor *supervisor);
void upgrade_done(struct supervisor *supervisor); /* the new server answers */
/* The new program is no good: the old one goes on. */
void upgrade_back(struct supervisor *supervisor, const char *reason);
/* When patience with the new program ends. */
uint64_t upgrade_due_ms(const struct supervisor *supervisor);

/* --- become.c --- */

/* Turn into the program of the server; returns only if that failed, and then all is as before. */
void supervisor_become(struct supervisor *supervisor);
/* The other side of it. HIF_ECORRUPT, HIF_EUNSUPPORTED. */
HIF_MUST_USE enum hif_err supervisor_resume(struct supervisor *supervisor, int state_fd,
                                            struct hif_why *why);

/* --- helper_fork.c --- */

/* A request of the server's for what needs privileges. HIF_ELIMIT: too many are under way. */
HIF_MUST_USE enum hif_err supervisor_help(struct supervisor *supervisor,
                                          const struct wire_msg *msg);
void supervisor_reap_helpers(struct supervisor *supervisor);

/* --- life.c --- */

/* The spare serves from now on, or a new one as soon as it can. */
void supervisor_start_server(struct supervisor *supervisor);
/* So that a restart does not wait for a program to be loaded. */
void supervisor_make_spare(struct supervisor *supervisor);
/* Take one word of the server's or the spare's, or one call of the server's. False: there is none. */
bool supervisor_event(struct supervisor *supervisor, struct server *server);
bool supervisor_call(struct supervisor *supervisor);
/* The process has ended. */
void supervisor_gone(struct supervisor *supervisor);
void supervisor_spare_gone(struct supervisor *supervisor);
/* The spare takes too long. */
void supervisor_spare_late(struct supervisor *supervisor);
/* Have the server flush and end. Its mounts stay for the next one. */
void supervisor_suspend(struct supervisor *supervisor);
/* Have the server go, for this aim. */
void supervisor_aim(struct supervisor *supervisor, enum aim aim);

#endif
