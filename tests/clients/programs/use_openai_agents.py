import asyncio

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)


async def main():
    agent = Agent(name="a", instructions="be brief", model="gpt-5-mini")
    print((await Runner.run(agent, "hi")).final_output)
    streamed = Runner.run_streamed(agent, "hi")
    async for event in streamed.stream_events():
        pass
    print(streamed.final_output)
    chat = Agent(name="b", model=OpenAIChatCompletionsModel(model="gpt-5-mini", openai_client=AsyncOpenAI()))
    print((await Runner.run(chat, "hi")).final_output)


asyncio.run(main())
