from pydantic import BaseModel
from pydantic_ai import Agent


class Said(BaseModel):
    text: str


for model in ["openai-chat:gpt-5-mini", "openai-responses:gpt-5-mini", "anthropic:claude-sonnet-4-5", "google:gemini-2.5-flash"]:
    agent = Agent(model)
    print(agent.run_sync("hi").output)
    with agent.run_stream_sync("hi") as stream:
        print("".join(stream.stream_text(delta=True)))
