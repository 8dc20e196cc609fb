"""The Resource strings a Task may have, and how a function is named in them."""

from __future__ import annotations

import re

LAMBDA_INVOKE = "arn:aws:states:::lambda:invoke"
TOKEN_SUFFIX = ".waitForTaskToken"
LAMBDA_INVOKE_FOR_TOKEN = LAMBDA_INVOKE + TOKEN_SUFFIX
SQS_SEND = "arn:aws:states:::sqs:sendMessage"

SQS_TASK = "sqs:sendMessage"
"""The name under which the task behind SQS_SEND is looked up."""

_FUNCTION_ARN = re.compile(r"arn:[\w-]+:lambda:[^:]*:[^:]*:function:(?P<name>[^:]+)(:[^:]+)?")


def is_function_arn(resource: str) -> bool:
    """Whether it is a Lambda function's ARN, with or without version or alias."""
    return _FUNCTION_ARN.fullmatch(resource) is not None


def function_name(text: str) -> str:
    """`Clip` for `Clip`, `Clip:alias`, `${Clip}` and the ARN of the function Clip."""
    if match := _FUNCTION_ARN.fullmatch(text):
        text = match["name"]
    if text.startswith("${") and text.endswith("}"):
        return text[2:-1]
    return text.partition(":")[0]
