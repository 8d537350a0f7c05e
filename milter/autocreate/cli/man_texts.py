"""What the manual pages say that neither `--help` nor the configuration's keys do."""

# Commands, and what each is for. All of them are run in tests/integration/test_man.py.
EXAMPLES = (
    ("autocreate config check", "Report every mistake in the configuration."),
    (
        "autocreate check joe@example.org nobody@example.org",
        "Show what two recipients would be answered, and why. Changes nothing.",
    ),
    ("autocreate accounts check --user joe", "See whether the account sources answer."),
    ("autocreate doctor", "Check the MTA, Cyrus and the configuration for problems."),
    ("autocreate plan joe@example.org", "Show what would be created for a user."),
    ("autocreate provision joe@example.org", "Create a user's mailbox now."),
    ("autocreate provision --all", "Show what would be created for all accounts."),
    ("autocreate provision --all --yes", "Create it."),
    ("autocreate audit --trees", "Report mailboxes that differ from accounts and policies."),
    ("autocreate status", "See whether the milter runs, and whether its servers answer."),
    (
        "autocreate report --since 7d --html report.html",
        "Write a page with plots about the last seven days.",
    ),
    ("autocreate explain joe@example.org", "Show how a decision is made, step by step."),
)

ENVIRONMENT = (
    ("AUTOCREATE_CONFIG", "The configuration file, unless --config names one."),
    ("PAM_USER, PAM_SERVICE, PAM_TYPE", "For `login --pam`: the login, as pam_exec(8) sets them."),
    (
        "NOTIFY_SOCKET, LISTEN_PID, LISTEN_FDS, JOURNAL_STREAM",
        "Set by systemd: where to report that the service is ready, which sockets it inherits, and "
        "whether its log goes to the journal.",
    ),
)

FILES = (
    (
        "/etc/autocreate/autocreate.toml",
        "The configuration, unless --config or AUTOCREATE_CONFIG names another file. See "
        "autocreate.toml(5).",
    ),
    (
        "/etc/autocreate/cyrus.secret",
        "The password of Cyrus's administrator, if cyrus.password_file names this file.",
    ),
    (
        "/var/lib/autocreate/journal.db",
        "The journal: unfinished trees and statistics, unless journal.url names another database.",
    ),
    (
        "/var/lib/autocreate/journal.db-turns, /var/lib/autocreate/journal.db-messages",
        "With milter.processes: locks of users, and the sockets by which processes tell each other what to forget.",
    ),
    (
        "/run/autocreate/milter.sock, /run/autocreate/milter.sock.control",
        "The socket for the MTA, if milter.socket names it; and the control socket beside it, which "
        "`status`, `cache` and `doctor` ask.",
    ),
    (
        "/etc/imapd.conf, /etc/cyrus.conf",
        "Read if cyrus.imapd_conf and cyrus.cyrus_conf name them, and by `doctor`. Never written.",
    ),
    (
        "/etc/postfix, /etc/mail/sendmail.cf",
        "Read by `doctor` and `aliases detect`. Never written.",
    ),
)

SIGNALS = (
    (
        "SIGHUP, SIGUSR1",
        "`milter`, `login`, `run`, `watch`: read the configuration again. If it has a mistake, the log "
        "says so and the old configuration stays in use.",
    ),
    (
        "SIGTERM, SIGINT",
        "`milter`, `login`, `run`, `watch`: finish the work in progress, then exit.",
    ),
    (
        "SIGINT",
        "The other commands stop with exit status 130. Those that work on many users say how to go on.",
    ),
)

# A whole configuration: it is loaded in tests/unit/cli/test_man.py.
CONFIGURATION = r"""
[milter]
socket = "unix:/run/autocreate/milter.sock"
domains = ["example.org"]
mode = "dry-run"

[cyrus]
host = "mail.example.org"
admin = "cyrus"
password_file = "/etc/autocreate/cyrus.secret"

[accounts.staff]
type = "sql"
url = "sqlite:////var/lib/autocreate/accounts.db"
query = "SELECT userid FROM accounts WHERE userid = :user"
list_query = "SELECT userid FROM accounts"

[[policy]]
name = "everyone"
quota = "2G"
folders = [
  { name = "Sent", special_use = "\\Sent", subscribe = true },
  { name = "Trash", special_use = "\\Trash" },
]
"""
