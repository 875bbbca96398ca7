"""The base class of every error of this package. Classes live beside the code that raises them.

ContextBuilderError
    QuestionError
        BudgetTooSmall
        NotResolved
        NotFound
    NoSuchTime
    QueryTimeout
    ModelUnavailable
    NoResponse
    MalformedStream
    ErrorEvent
    PriceFileError
    BatchUnavailable
        BatchUncertain
        BatchGone
    PostmortemFailed
        NothingToDo
    LeaseLost
    BatchConflict
    CapReached
    UnknownPrice
    TemplateError
    BacktestError
    ModelFileError
    TooLittleData
    TrainingUnderWay
    UnknownCandidates
    TraceUnusable
    SwitchbackUnusable
"""


class ContextBuilderError(Exception):
    """An error of this package; the message is one line that says what went wrong."""
