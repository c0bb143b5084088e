"""SDKs over the Unix socket: no token, and any text as the key."""

import os

import anthropic
import httpx
import httpx2
import openai
from google import genai
from langchain_openai import ChatOpenAI

path = os.environ["GATEWAY_SOCKET"]
messages = [{"role": "user", "content": "hi"}]

client = openai.OpenAI(
    base_url="http://aipassd/openai/v1",
    api_key="unused",
    http_client=httpx2.Client(transport=httpx2.HTTPTransport(uds=path)),
)
stream = client.chat.completions.create(model="gpt-5-mini", messages=messages, stream=True)
print("".join(chunk.choices[0].delta.content or "" for chunk in stream))

client = anthropic.Anthropic(
    base_url="http://aipassd/anthropic",
    api_key="unused",
    http_client=httpx2.Client(transport=httpx2.HTTPTransport(uds=path)),
)
with client.messages.stream(model="claude-sonnet-4-5", max_tokens=10, messages=messages) as stream:
    print(stream.get_final_message().content[0].text)

client = genai.Client(
    api_key="unused",
    http_options={"base_url": "http://aipassd/google", "httpx_client": httpx.Client(transport=httpx.HTTPTransport(uds=path))},
)
print(client.models.generate_content(model="gemini-2.5-flash", contents="hi").text)

model = ChatOpenAI(
    model="gpt-5-mini",
    base_url="http://aipassd/openai/v1",
    api_key="unused",
    http_client=httpx2.Client(transport=httpx2.HTTPTransport(uds=path)),
)
print(model.invoke("hi").content)
