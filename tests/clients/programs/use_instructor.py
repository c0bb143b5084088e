import instructor
import openai
from pydantic import BaseModel


class Said(BaseModel):
    text: str


messages = [{"role": "user", "content": "hi"}]
client = instructor.from_openai(openai.OpenAI())
print(client.chat.completions.create(model="gpt-5-mini", messages=messages, response_model=Said).text)
for said in client.chat.completions.create_partial(model="gpt-5-mini", messages=messages, response_model=Said):
    pass
print(said.text)
