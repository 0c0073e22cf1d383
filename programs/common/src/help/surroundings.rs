// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Help on what happens around a command: scripts, reports and secrets.

/// The text on a topic or module.
pub(super) fn find(word: &str) -> Option<&'static str> {
    Some(match word {
        "runscript" | "run-script" | "script" | "scripts" => SCRIPTS,
        "reports" | "report" => REPORTS,
        "mail" | "email" | "sendmail" => MAIL,
        "sendhttp" => HTTP,
        "sendtelegram" => TELEGRAM,
        "sendxmpp" => "Reports by XMPP are not part of this version; see 'help reports'.\n",
        "httpreportstatus" => {
            "Reports while an operation runs are not part of this version; see 'help reports'.\n"
        }
        "console-password-input" => CONSOLE_PASSWORD,
        "secret" | "secret-provider" => SECRET,
        _ => return None,
    })
}

const SCRIPTS: &str = "\
--run-script-before=<program> runs before the operation, --run-script-before-required too (and first), --run-script-after
after it, --run-script-post-backup as soon as the data of a backup is stored. With --run-script-with-arguments the value
is a command line. --run-script-timeout (60s; 0 is for ever) limits the wait.

What the exit code means before the operation:
  0     go on
  1     do not start, say nothing
  2, 4  go on, with a warning (2) or an error (4)
  3, 5  do not start, with a warning (3) or an error (5 and above)
After it, 2 and 3 are a warning, 4 and above an error. A required program must end with 0, or the operation fails.

The program finds in its environment DUPLICATI__EVENTNAME (BEFORE, AFTER, POST-BACKUP), DUPLICATI__OPERATIONNAME,
DUPLICATI__REMOTEURL, DUPLICATI__LOCALPATH, DUPLICATI__FILTER, every given option as DUPLICATI__<name with _ for ->, and
after the operation DUPLICATI__PARSED_RESULT and DUPLICATI__RESULTFILE, the path of a file with the result.

Lines that it prints before the operation of the form --option=value change options of this run; --remoteurl, --localpath
and --filter change destination, sources and filters. Lines that begin with LOG:INFO, LOG:WARN or LOG:ERROR go to the log,
and so does whatever is written to standard error, as a warning.
";

const REPORTS: &str = "\
A report is sent after each backup, and after every command with a destination with --send-…-any-operation.
  mail      --send-mail-to, --send-mail-url; see 'help mail'
  web       --send-http-json-urls, --send-http-form-urls; see 'help sendhttp'
  Telegram  --send-telegram-bot-id, --send-telegram-api-key, --send-telegram-channel-id; see 'help sendtelegram'
Each has --send-…-level (Success, Warning, Error, Fatal or All), --send-…-log-level and --send-…-max-log-lines for the log
lines in it, --send-…-result-output-format (Duplicati or Json) and --send-…-extra-parameters.

Texts may hold %PARSEDRESULT%, %RESULT%, %OPERATIONNAME%, %REMOTEURL%, %LOCALPATH%, %backup-name%, %backup-id%,
%machine-name%, %machine-id%, %next-scheduled-run%, and any option that is not secret. Paths in log lines are replaced
by -redacted- unless --allow-paths-in-log-messages is given. A report that nobody takes is a warning.
";

const MAIL: &str = "\
With --send-mail-to=<addresses> a report is mailed after each backup. --send-mail-url names the servers to try in turn,
separated by ';': smtp://host (port 25, plain; with ?starttls=when-available or ?starttls=always encrypted), smtps://host
(port 465) or tls://host (STARTTLS on port 587). A server must be named. --send-mail-username and --send-mail-password
sign in. --send-mail-from=<name> without domain takes that of the recipient. --send-mail-body may be the absolute path of a
file. The command 'send-mail' sends a mail at once, to try the options.
";

const HTTP: &str = "\
--send-http-json-urls gets the report as JSON with the keys Data, Extra, LogLines and Exception; --send-http-form-urls
(and --send-http-url) as a form with the field --send-http-message-parameter-name. Several URLs are separated by ';'.
--send-http-verb names another method than POST. --send-http-retries and --send-http-retry-delay say how often and when it
is tried again. --send-http-accept-specified-ssl-hash trusts certificates with these SHA-1 hashes only.
";

const TELEGRAM: &str = "\
--send-telegram-bot-id, --send-telegram-api-key and --send-telegram-channel-id name the bot and where it writes;
--send-telegram-topid-id a topic there, --send-telegram-message the text. What is longer than 4096 characters is cut.
";

const CONSOLE_PASSWORD: &str = "\
Asks for a missing passphrase at the terminal. --disable-module=console-password-input makes a missing passphrase an error,
which it is without a terminal in any case.
";

const SECRET: &str = "\
With --secret-provider=<url>, every option value and every value in the query of the destination's URL that is exactly
$name or ${name} is replaced by that secret; a name that the provider does not know is an error.
  env://                                environment variables
  file-secret:///path?passphrase=…      a file with a JSON object of names and texts: plain, or sealed with age or AES Crypt
  pass://                               the first line of an entry of the program pass
--secret-provider-pattern names another mark than $. The URL itself may be $NAME, ${NAME} or %NAME%, an environment
variable. --secret-provider-cache=Persistent keeps what was found in the data folder, encrypted, for times when the
provider cannot be reached.
";
