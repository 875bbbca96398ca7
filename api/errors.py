"""The base of every error that the `api` package raises for its callers.

ArcpointApiError
├── IngestError             api.ingest.errors: a file or a post cannot be taken in
│   ├── MappingError        the mapping does not fit the fields or the file; nothing was written
│   ├── InputError          the file cannot be used; nothing was written
│   ├── LoadStopped         the database or a disk failed; the rows already stored stay
│   ├── UnknownWay          no kind of record and no receiver has this name
│   ├── BodyUnreadable      a post is not what it claims to be
│   ├── BodyTooLarge        a post has more bytes or items than are accepted
│   ├── Unusable            one item of a post has a value that cannot be stored
│   ├── UnknownEncoding     a post is packed in a way that is not read
│   ├── SenderUnproven       a post does not prove where it comes from
│   └── IngestBusy          a post was not stored; says when to send it again
│       └── BodyTooSlow     its body did not come in time
├── SettingsError           api.settings: a variable of the environment cannot be used
├── BadAnchor               api.audit.verification: a text is no anchor of the audit trail
├── LoginRefused            api.http.auth.oidc: a login proves nothing
├── ProviderUnavailable     api.http.auth.oidc: the identity provider does not answer as one does
├── DemoDataError           api.demo_data: the database or the anchor cannot be used
├── PollFailed              api.pollers.fetching: a target gave no answer that can be used
├── NotLeading              api.pollers.runner: another process polls
├── Conflict                api.http.problem: a request does not fit the current state
├── Overloaded              api.http.admission: too many questions at once; says when to try again
├── Unauthenticated         api.access.errors: nobody knows who makes a request
├── Forbidden               api.access.errors: the caller's role or user does not allow a request
├── RateLimited             api.access.errors: a key has used up what it may ask for; says when to try again
├── KeyRefused              api.access.errors: a key cannot be made or changed so
├── ServiceRefuses          api.cli.ask.service: the service does not let us in
├── ServiceLost             api.cli.ask.service: the service does not answer, or refuses
├── CannotListen            api.cli.serve: the address of the service cannot be used
├── DemoFolderRefused       api.cli.demo: the folder is in use, or contains other files
├── OutputFailed            api.cli.terminal: standard output cannot be written
├── ProxyRefusal            api.proxy.errors: a request that the proxy answers itself, in the API's shape
├── ClientGone              api.proxy.errors: a client of the proxy has left; there is nobody to answer
├── UpstreamUnreachable     api.proxy.forwarding.upstream: no answer could be had of an upstream
├── BrokerFailed            api.proxy.recording.publisher: a broker did not take an event
├── RecordInvalid           api.ingest.records: one record is not acceptable; lists a problem per field
├── ArchiveError            api.archive.errors: an archive as a whole cannot be used; nothing was written
├── DocumentRejected        api.archive.errors: one document of an archive cannot be imported
├── DocumentSkipped         api.archive.errors: one file of an archive is not about an incident
├── Unavailable             api.proxy.rewriting.in_time: a store or context failed or is late; done without
│   └── TooLate             api.proxy.rewriting.turn_store: a decision was not certain in time, so not made
└── FolderUnusable          api.archive.postmortem_files: no postmortem can be written to a folder
"""

from __future__ import annotations


class ArcpointApiError(Exception):
    """A request to Arcpoint that cannot be met; the message is one line that says what is accepted."""
