"""Chat's settings; `.env.example` lists them."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.config import Port, ServiceConfig


class ChatConfig(ServiceConfig):
    """What chat is told, each as CHAT_… in the environment."""

    model_config = SettingsConfigDict(env_prefix="CHAT_")

    port: Port = 50052
    ops_port: Port = 9102
    auth_target: Annotated[str, Field(min_length=1)] = "127.0.0.1:50051"
    deleted_conversation_days: Annotated[float, Field(gt=0, le=365)] = 30

    @property
    def retention(self) -> timedelta:
        """How long a deleted conversation can be undeleted."""
        return timedelta(days=self.deleted_conversation_days)
